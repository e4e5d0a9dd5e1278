// WorkerPool over caller-made workers beside a plain JavaScript scan over a Map of such objects, in one run.
//
//   node benchmark/standalone.mjs [workers, by default 1000]
//
// Each row: microseconds a call (median of the rounds, which alternate between the two), and how many times as long as the
// scan the pool took; below 1 it is faster.

import pool from '../lib/pool/worker-pool.js';

const { WorkerPool } = pool;
const WORKERS = Number(process.argv[2] ?? 1000);
const ROUNDS = 15;
const ROUND_MS = 30;

function makeWorker(index, modelId) {
  return {
    id: `worker-${index}`,
    name: `Worker ${index}`,
    websocket: { readyState: 1, send() {}, close() {} },
    capabilities: {
      models: [
        { modelId, displayName: modelId, maxContextTokens: 8192, maxOutputTokens: 4096, supportsStreaming: true },
      ],
      maxConcurrentRequests: 4,
      concurrencyLimits: { chat: 3 },
    },
    status: 'available',
    sessionId: `session-${index}`,
    connectedAt: new Date(),
    lastHeartbeat: new Date(),
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
  };
}

/** The pool as one would write it in an afternoon: a Map, and a walk over it for each answer. */
class ScannedPool {
  workers = new Map();

  add(worker) {
    this.workers.set(worker.id, worker);
  }

  getAvailableWorker(model, category) {
    let best = null;
    let bestLoad = Infinity;
    for (const worker of this.workers.values()) {
      if (worker.status !== 'available') continue;
      const { models, maxConcurrentRequests, concurrencyLimits } = worker.capabilities;
      if (!models.some(({ modelId }) => modelId === model || modelId.includes(model) || model.includes(modelId)))
        continue;
      if (worker.activeRequests >= maxConcurrentRequests) continue;
      if (category !== undefined && concurrencyLimits?.[category] !== undefined) {
        if ((worker.categoryActiveRequests.get(category) ?? 0) >= concurrencyLimits[category]) continue;
      }
      const load = worker.activeRequests / maxConcurrentRequests;
      if (load < bestLoad) {
        best = worker;
        bestLoad = load;
      }
    }
    return best;
  }

  trackRequest(workerId, requestId, category) {
    const worker = this.workers.get(workerId);
    if (worker === undefined) return;
    worker.activeRequests += 1;
    worker.pendingRequests.add(requestId);
    if (category !== undefined) {
      worker.requestCategories.set(requestId, category);
      worker.categoryActiveRequests.set(category, (worker.categoryActiveRequests.get(category) ?? 0) + 1);
    }
    if (worker.activeRequests >= worker.capabilities.maxConcurrentRequests) worker.status = 'busy';
  }

  releaseRequest(requestId, options) {
    for (const worker of this.workers.values()) {
      if (!worker.pendingRequests.has(requestId)) continue;
      worker.activeRequests = Math.max(0, worker.activeRequests - 1);
      worker.pendingRequests.delete(requestId);
      const category = worker.requestCategories.get(requestId);
      if (category !== undefined) {
        worker.requestCategories.delete(requestId);
        worker.categoryActiveRequests.set(
          category,
          Math.max(0, (worker.categoryActiveRequests.get(category) ?? 0) - 1),
        );
      }
      if (options?.incrementCompleted) worker.completedRequests += 1;
      if (worker.status === 'busy' && worker.activeRequests < worker.capabilities.maxConcurrentRequests) {
        worker.status = 'available';
      }
      return;
    }
  }
}

const FLEETS = {
  'one model for all': () => 'llama-3-70b',
  'one model each': (index) => `model-${String(index).padStart(6, '0')}`,
};

/** A fleet in which every worker has a request or two, so that nobody is idle. */
function fill(target, modelOf) {
  for (let index = 0; index < WORKERS; index += 1) {
    target.add(makeWorker(index, modelOf(index)));
    for (let request = 0; request <= index % 2; request += 1)
      target.trackRequest(`worker-${index}`, `busy-${index}-${request}`);
  }
  return target;
}

const ids = Array.from({ length: WORKERS }, (_, index) => `worker-${index}`);
const requests = Array.from({ length: WORKERS }, (_, index) => `request-${index}`);

/** What is timed: each runs through all workers once (or asks as often) and returns the number of calls that count. */
const WORK = {
  getAvailableWorker(target, modelOf) {
    for (let index = 0; index < 100; index += 1) target.getAvailableWorker(modelOf((index * 37) % WORKERS));
    return { calls: 100 };
  },
  'getAvailableWorker, category'(target, modelOf) {
    for (let index = 0; index < 100; index += 1) target.getAvailableWorker(modelOf((index * 37) % WORKERS), 'chat');
    return { calls: 100 };
  },
  trackRequest(target) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < WORKERS; index += 1) target.trackRequest(ids[index], requests[index]);
    const ns = process.hrtime.bigint() - start;
    for (let index = 0; index < WORKERS; index += 1) target.releaseRequest(requests[index]);
    return { calls: WORKERS, ns };
  },
  releaseRequest(target) {
    for (let index = 0; index < WORKERS; index += 1) target.trackRequest(ids[index], requests[index], 'chat');
    const start = process.hrtime.bigint();
    for (let index = 0; index < WORKERS; index += 1)
      target.releaseRequest(requests[index], { incrementCompleted: true });
    return { calls: WORKERS, ns: process.hrtime.bigint() - start };
  },
};

function round(work, target, modelOf) {
  const end = performance.now() + ROUND_MS;
  let calls = 0;
  let ns = 0n;
  do {
    const start = process.hrtime.bigint();
    const done = work(target, modelOf);
    ns += done.ns ?? process.hrtime.bigint() - start;
    calls += done.calls;
  } while (performance.now() < end);
  return Number(ns) / calls / 1000;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

console.log(`${WORKERS} caller-made workers, Node ${process.version}\n`);
console.log(
  `${'fleet'.padEnd(20)}${'call'.padEnd(32)}${'scan, µs'.padStart(10)}${'pool, µs'.padStart(10)}${'ratio'.padStart(8)}`,
);
for (const [fleet, modelOf] of Object.entries(FLEETS)) {
  for (const [name, work] of Object.entries(WORK)) {
    const targets = [fill(new ScannedPool(), modelOf), fill(new WorkerPool(), modelOf)];
    const times = [[], []];
    for (let index = -3; index < ROUNDS; index += 1) {
      targets.forEach((target, which) => {
        const time = round(work, target, modelOf);
        if (index >= 0) times[which].push(time);
      });
    }
    const [scan, ours] = times.map(median);
    const numbers = [scan.toFixed(3).padStart(10), ours.toFixed(3).padStart(10), (ours / scan).toFixed(2).padStart(8)];
    console.log(`${fleet.padEnd(20)}${name.padEnd(32)}${numbers.join('')}`);
  }
}
