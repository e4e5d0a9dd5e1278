'use strict';

// Modules of the page that need no browser.

const { formatAge, formatCount, formatDuration, formatRate } = require('../../lib/status/page/format.js');
const { Store } = require('../../lib/status/page/store.js');
const { orderWorkers } = require('../../lib/status/page/worker-order.js');

test.each([
  [0, '0 s'],
  [-5, '0 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [125_000, '2 min 5 s'],
  [3_599_000, '59 min'],
  [7_500_000, '2 h 5 min'],
  [80_000_000, '22 h'],
  [273_600_000, '3 d 4 h'],
  [NaN, '–'],
])('an age of %d ms is %s', (ms, text) => expect(formatAge(ms)).toBe(text));

test.each([
  [0, '0 ms'],
  [0.34, '0.3 ms'],
  [0.97, '1 ms'],
  [412.4, '412 ms'],
  [999.7, '1.0 s'],
  [4_249, '4.2 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [72_000, '1 min 12 s'],
  [undefined, '–'],
])('a duration of %d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test.each([
  [0, '0'],
  [0.2, '0.2'],
  [9.876, '9.88'],
  [12.4, '12'],
  [1_234.5, '1,235'],
])('a rate of %d is %s', (value, text) => expect(formatRate(value)).toBe(text));

test('one is one, and two are several', () => {
  expect([formatCount(1, 'worker'), formatCount(0, 'worker'), formatCount(1_200, 'worker')]).toEqual([
    '1 worker',
    '0 workers',
    '1,200 workers',
  ]);
});

describe('the store', () => {
  const at = '2026-01-01T00:00:10.000Z';
  const worker = { id: 'w', name: 'W', address: null, models: ['M'], heartbeatAgeMs: 4_000, connectedAt: at };
  const whole = {
    at,
    state: 'running',
    version: '1',
    uptimeMs: 1_000,
    workers: [worker],
    queue: { size: 0, bytes: 0, oldestMs: 0, byModel: {} },
    requests: [{ requestId: 'r', ageMs: 500, state: 'waiting' }],
    history: [{ at: 'a', completed: 1 }],
    losses: [{ workerId: 'first' }, { workerId: 'second' }],
    nodes: null,
  };

  test('takes a whole state, with times for its ages', () => {
    const store = new Store();
    store.apply(whole);
    expect(store.startedAt).toBe(Date.parse(at) - 1_000);
    expect(store.workers.get('w')).toMatchObject({ name: 'W', heartbeatAt: Date.parse(at) - 4_000 });
    expect(store.requests.get('r').startedAt).toBe(Date.parse(at) - 500);
    expect(store.losses.map(({ workerId }) => workerId)).toEqual(['second', 'first']);
    expect(store.now()).toBeGreaterThanOrEqual(Date.parse(at));
  });

  test('takes differences, and keeps what they do not name', () => {
    const store = new Store();
    store.apply(whole);
    store.apply({
      at,
      queue: { size: 2 },
      workers: [
        { id: 'w', active: 1 },
        { ...worker, id: 'v' },
      ],
      gone: { requests: ['r'] },
      history: [
        { at: 'a', completed: 2 },
        { at: 'b', completed: 0 },
      ],
      losses: [{ workerId: 'third' }],
    });
    expect(store.state).toBe('running');
    expect(store.queue).toEqual({ size: 2, bytes: 0, oldestMs: 0, byModel: {} });
    expect(store.workers.get('w')).toMatchObject({ name: 'W', active: 1 });
    expect([...store.workers.keys()]).toEqual(['w', 'v']);
    expect(store.requests.size).toBe(0);
    expect(store.history.map(({ completed }) => completed)).toEqual([2, 0]);
    expect(store.losses[0].workerId).toBe('third');
    store.apply({ at, gone: { workers: ['w'] } });
    expect([...store.workers.keys()]).toEqual(['v']);
  });

  test('a whole state replaces all', () => {
    const store = new Store();
    store.apply(whole);
    store.apply({ ...whole, workers: [], requests: [], history: [], losses: [] });
    expect([store.workers.size, store.requests.size, store.history, store.losses]).toEqual([0, 0, [], []]);
  });
});

test('workers of the same rank stand in the order of their names, whichever way the others go', () => {
  const workers = ['b2', 'b10', 'a'].map((name, i) => ({
    id: name,
    name,
    searched: name,
    active: i === 2 ? 1 : 0,
    slots: 2,
  }));
  const order = (isDescending) =>
    orderWorkers(workers, { text: '', status: null, column: 'load', isDescending }).map(({ name }) => name);
  expect(order(false)).toEqual(['b2', 'b10', 'a']);
  expect(order(true)).toEqual(['a', 'b2', 'b10']);
});
