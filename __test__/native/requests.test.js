'use strict';

const abi = require('../../lib/native/abi.js');
const { NativeServer } = require('../../lib/native/addon.js');
const { MEMORY_IS_SHARED } = require('../../lib/native/shared-memory.js');

const [TICKET, PLACE, POSITION, SIZE, LIMIT] = [0, 1, 2, 3, 4];
const [WAITS, NO_WORKER, FULL, NEVER_WAITS, FORGOTTEN] = [1, 3, 4, 5, 6];

const { limits } = abi.defaults;

describe('requests, as they cross to the native side', () => {
  let server;
  const start = (queue) => {
    const options = { port: 0, heartbeatTimeoutMs: 6e4, healthCheckIntervalMs: 1e4, heartbeatIntervalMs: 1e4 };
    server = new NativeServer({ ...options, logging: false, sharesMemory: MEMORY_IS_SHARED, limits, queue }, () => {});
  };
  afterEach(() => server.shutDown());

  /** What was written into the memory of both, or, where that isn't shared, a copy of it. */
  function fields() {
    const copy = new Float64Array(5);
    server.copyRequestFields(copy);
    if (MEMORY_IS_SHARED) expect([...server.requestFields()]).toEqual([...copy]);
    return copy;
  }

  const intern = (demand) => server.intern(JSON.stringify({ exact: false, objects: false, ...demand }));

  test('a request that waits has a ticket, a position and a size, and is withdrawn once', () => {
    start({ maxSize: Infinity, maxBytes: Infinity });
    const demand = intern({ model: 'm' });
    expect(server.submit(demand, 1, 10, Infinity, null)).toBe(WAITS);
    const first = fields();
    expect([first[POSITION], first[SIZE], first[LIMIT]]).toEqual([1, 1, -1]);
    expect(server.submit(demand, 0, 10, 1000, null)).toBe(WAITS);
    expect([fields()[POSITION], fields()[SIZE]]).toEqual([1, 2]);
    expect(server.queueInfo()).toMatchObject({ size: 2, bytes: 20, models: ['m'], counts: [2] });
    expect([server.withdraw(first[TICKET]), server.withdraw(first[TICKET])]).toEqual([true, false]);
    expect(server.dispatch()).toBe(false);
    expect(server.nextWakeMs()).toBe(Infinity);
  });

  test('half a surrogate pair makes a fair key of its own, and a name that nobody has', () => {
    start({ maxSize: 10, maxBytes: Infinity, maxPerKey: 1 });
    const demand = intern({ model: 'm\ud800' });
    for (const fairKey of ['a\ud800', 'a\udfff', 'a\ufffd', '\u{1f600}', undefined]) {
      expect(server.submit(demand, 1, 1, 1000, { fairKey })).toBe(WAITS);
    }
    for (const fairKey of ['a\ud800', 'a\ufffd', '\u{1f600}']) {
      expect(server.submit(demand, 1, 1, 1000, { fairKey })).toBe(FULL);
    }
    expect(server.submit(demand, 1, 1, 1000, { fairKey: 'a\ud800', failsWithoutWorker: true })).toBe(NO_WORKER);
    expect(server.submit(demand, 1, 1, 0, null)).toBe(NEVER_WAITS);
    expect(server.hasNoWorker(demand)).toBe(true);
    expect(server.explain(demand)).toEqual({ text: 'no workers', ids: [], reasons: [] });
    expect(server.queueInfo().models).toEqual(['m\ufffd']);
  });

  test('one that avoids a worker for a while is woken for, and one that comes back is not refused', () => {
    start({ maxSize: 1, maxBytes: Infinity });
    const demand = intern({});
    const avoid = [{ workerId: 'w', untilMs: 60_000 }];
    expect(server.submit(demand, 2, 1, 100_000, { avoid, affinity: 'x', queuedMs: 50, comesBack: 7 })).toBe(WAITS);
    expect(fields()[PLACE]).toBe(7);
    expect(server.nextWakeMs()).toBeGreaterThan(0);
    expect(server.nextWakeMs()).toBeLessThanOrEqual(60_000);
    expect(server.queueInfo().oldestMs).toBeGreaterThanOrEqual(0);
    expect(server.submit(demand, 2, 1, 100_000, { comesBack: 8 })).toBe(WAITS);
    expect(server.submit(demand, 2, 1, 100_000, null)).toBe(FULL);
    expect(server.retryAfterMs()).toBeGreaterThan(0);
  });

  test('a demand is forgotten with the server that stops, and what is no demand is an error', () => {
    start(undefined);
    const demand = intern({ where: { gpu: ['a', 'b'] } });
    server.stop();
    expect(server.submit(demand, 1, 1, 1, null)).toBe(FORGOTTEN);
    expect([server.hasNoWorker(demand), server.explain(demand)]).toEqual([null, null]);
    expect(() => server.intern('[]')).toThrow('not a demand');
  });

  test('what is said of a worker that is not there changes nothing', () => {
    start(undefined);
    server.giveBack(9, -1, 1);
    expect(server.setDraining(9, true, true)).toBe(0);
    expect(server.disconnect(9, 1000, '')).toBe(false);
    expect(server.updateCapabilities(9, '{}', [], [])).toBe(
      'Invalid update: capabilities: expected an object, got nothing',
    );
    expect(server.barrier(1)).toBe(0);
  });
});
