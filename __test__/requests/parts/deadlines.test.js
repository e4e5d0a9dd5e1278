'use strict';

const { Deadlines, now } = require('../../../lib/requests/deadlines.js');

const item = (name) => ({ name, dueAt: Infinity, place: -1 });

/** Numbers that look random, and are the same each time. */
function* numbers(seed) {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    yield state >>> 8;
  }
}

test('items are called in the order in which they are due, each once, whatever was set anew or deleted meanwhile', async () => {
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
  for (const one of items) deadlines.set(one, start + (random.next().value % 20));
  for (const one of items) if (random.next().value % 3 === 0) deadlines.set(one, start + (random.next().value % 20));
  const deleted = items.filter(() => random.next().value % 4 === 0);
  for (const one of deleted) deadlines.delete(one);
  deadlines.set(last, start + 25);
  await allDue;
  const kept = items.filter((one) => !deleted.includes(one));
  expect(new Set(called)).toEqual(new Set([...kept, last]));
  expect(called.length).toBe(kept.length + 1);
  expect(called.map(({ dueAt }) => dueAt)).toEqual(called.map(({ dueAt }) => dueAt).sort((a, b) => a - b));
});

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

test('a time beyond what a timer of Node can wait is waited for without a call, or a warning', () => {
  const warnings = [];
  const onWarning = (warning) => warnings.push(warning);
  process.on('warning', onWarning);
  const deadlines = new Deadlines(() => {
    throw new Error('called');
  });
  deadlines.set(item('far'), now() + 2 ** 40);
  deadlines.clear();
  process.off('warning', onWarning);
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
