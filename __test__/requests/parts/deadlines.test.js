'use strict';

const { Deadlines } = require('../../../lib/requests/deadlines.js');
const { now } = require('../../../lib/time/clock.js');
const { emittedWarnings } = require('../../support/warnings.js');

const item = (name) => ({ name, place: -1 });

/** Numbers that look random, and are the same each time. */
function* numbers(seed) {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    yield state >>> 8;
  }
}

test.each([
  ['few', (number) => number % 4 === 0],
  ['most', (number) => number % 4 !== 0],
])(
  'items are called in the order in which they are due, each once, where %s were deleted meanwhile',
  async (_name, isDeleted) => {
    const random = numbers(7);
    const called = [];
    const items = Array.from({ length: 500 }, (_, index) => item(index));
    let done;
    const allDue = new Promise((resolve) => {
      done = resolve;
    });
    const last = item('last');
    const deadlines = new Deadlines((due) => {
      called.push(...due);
      if (due.includes(last)) done();
    });
    const start = now();
    const dueAt = new Map();
    const set = (one, at) => {
      deadlines.set(one, at);
      dueAt.set(one, at);
    };
    for (const one of items) set(one, start + (random.next().value % 20));
    for (const one of items) if (random.next().value % 3 === 0) set(one, start + (random.next().value % 20));
    const deleted = items.filter(() => isDeleted(random.next().value));
    for (const one of deleted) deadlines.delete(one);
    set(last, start + 25);
    await allDue;
    const kept = items.filter((one) => !deleted.includes(one));
    expect(new Set(called)).toEqual(new Set([...kept, last]));
    expect(called.length).toBe(kept.length + 1);
    const times = called.map((one) => dueAt.get(one));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  },
);

test('an item that is set to Infinity, or deleted twice, is never called', async () => {
  const called = [];
  const [never, soon] = [item('never'), item('soon')];
  await new Promise((resolve) => {
    const deadlines = new Deadlines((due) => {
      called.push(...due.map(({ name }) => name));
      resolve();
    });
    deadlines.set(never, now() + 1);
    deadlines.set(never, Infinity);
    deadlines.delete(never);
    deadlines.set(soon, now() + 2);
  });
  expect(called).toEqual(['soon']);
  expect(never.place).toBe(-1);
});

test('a time beyond what a timer of Node can wait is waited for without a call, or a warning', async () => {
  const warnings = emittedWarnings();
  const deadlines = new Deadlines(() => {
    throw new Error('called');
  });
  deadlines.set(item('far'), now() + 2 ** 40);
  await new Promise(setImmediate);
  deadlines.clear();
  expect(warnings).toEqual([]);
});

test('after clear nothing is called, and no timer is left', async () => {
  const deadlines = new Deadlines(() => {
    throw new Error('called');
  });
  const one = item('one');
  deadlines.set(one, now());
  deadlines.clear();
  expect(one.place).toBe(-1);
  await new Promise((resolve) => setTimeout(resolve, 5));
});
