'use strict';

// The pool beside the stand-in's, which scans all workers for each answer: the same random operations on both, the caller's
// own changes to its workers among them, must return the same answers and the same fields.

const { WorkerPool } = require('../../index.js');
const standin = require('../parity/standin.js');
const { makeWorker } = require('../support/standalone.js');

const NOW = 1_000_000;
const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const MODELS = ['llama', 'llama-3', 'llama-3-70b', 'gpt', 'pt'];
const NAMES = ['llama-3', 'gpt', 'a', 'none', ''];
const CATEGORIES = [undefined, 'chat', 'embed'];
const REQUESTS = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6'];
const STATUSES = ['available', 'busy', 'draining', 'unhealthy'];

/** Mulberry32: the same numbers for the same seed, everywhere. */
function random(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { below: (n) => Math.floor(next() * n), pick: (list) => list[Math.floor(next() * list.length)] };
}

function randomWorker({ below, pick }, id) {
  return makeWorker(id, {
    models: Array.from({ length: below(3) }, () => pick(MODELS)),
    max: pick([0, 1, 2, 3, 4, 2.5]),
    limits: pick([undefined, { chat: 1 }, { chat: 2, embed: 0 }, { embed: -1 }]),
    lastHeartbeat: new Date(NOW - below(400)),
  });
}

/** An operation, to be called with each pool. What it returns is compared. */
function randomOperation(rng) {
  const { below, pick } = rng;
  const [id, request, category] = [pick(IDS), pick(REQUESTS), pick(CATEGORIES)];
  const change = (fn) => (pool) => {
    if (pool.has(id)) fn(pool.get(id));
  };
  switch (below(12)) {
    case 0:
    case 1: {
      const worker = randomWorker(rng, id);
      // Each pool has its own, with the same fields.
      const copy = () => ({
        ...worker,
        pendingRequests: new Set(),
        requestCategories: new Map(),
        categoryActiveRequests: new Map(),
      });
      return (pool) => pool.add(copy());
    }
    case 2:
      return (pool) => pool.remove(id)?.id;
    case 3:
    case 4:
    case 5:
    case 6:
      return (pool) => pool.trackRequest(id, request, category);
    case 7:
    case 8: {
      const incrementCompleted = pick([true, false, undefined]);
      return (pool) => pool.releaseRequest(request, { incrementCompleted });
    }
    case 9: {
      const timeout = 50 + below(200);
      return (pool) => pool.checkHealth(timeout);
    }
    case 10: {
      const [status, active] = [pick(STATUSES), below(4)];
      return change((worker) => {
        worker.status = status;
        worker.activeRequests = active;
      });
    }
    default: {
      const silent = below(400);
      return change((worker) => {
        worker.lastHeartbeat = new Date(NOW - silent);
        worker.pendingRequests.delete(request);
      });
    }
  }
}

/** All that a pool can be asked, and all fields of its workers. */
function stateOf(pool) {
  const answers = {};
  for (const name of NAMES) {
    for (const category of CATEGORIES) {
      const selected = pool.getAvailableWorker(name, category);
      answers[`${name} ${category}`] = [selected && selected.id, pool.getAvailableSlotCount(name, category)];
    }
  }
  return {
    answers,
    any: pool.getAnyAvailableWorker()?.id,
    counts: [pool.getCount(), pool.getAvailableCount()],
    workers: [...pool.values()].map(
      ({ websocket: _websocket, capabilities: _capabilities, connectedAt: _connectedAt, ...fields }) => fields,
    ),
  };
}

beforeEach(() => {
  jest.spyOn(Date, 'now').mockReturnValue(NOW);
});

afterEach(() => {
  jest.restoreAllMocks();
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])('300 random operations return what a scan returns (seed %d)', (seed) => {
  const rng = random(seed);
  const [pool, scanned] = [new WorkerPool(), new standin.WorkerPool()];
  for (let step = 0; step < 300; step += 1) {
    const operation = randomOperation(rng);
    expect(operation(pool)).toEqual(operation(scanned));
    expect(stateOf(pool)).toEqual(stateOf(scanned));
  }
});
