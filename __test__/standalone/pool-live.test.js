'use strict';

// What a caller does to its own worker holds in the pool's next answer, and what the pool does can be read on the worker.

const { WorkerPool } = require('../support/package.js');
const { makeWorker, mockSocket, modelOf } = require('../support/standalone.js');

function poolOf(...workers) {
  const pool = new WorkerPool();
  for (const worker of workers) pool.add(worker);
  return pool;
}

test('a status that the caller sets holds in the next query', () => {
  const worker = makeWorker('a');
  const pool = poolOf(worker);
  worker.status = 'draining';
  expect(pool.getAvailableWorker('llama-3')).toBeNull();
  expect(pool.getAvailableSlotCount('llama-3')).toBe(0);
  expect(pool.getAvailableCount()).toBe(0);
  worker.status = 'available';
  expect(pool.getAvailableWorker('llama-3')).toBe(worker);
});

test('a status put together from parts is the status that it spells', () => {
  const worker = makeWorker('a');
  const pool = poolOf(worker);
  worker.status = ['dra', 'ining'].join('');
  expect(pool.getAvailableWorker('llama-3')).toBeNull();
  worker.status = ['avail', 'able'].join('');
  expect(pool.getAvailableWorker('llama-3')).toBe(worker);
});

test('a status that the caller made up gets nothing new, and stays as it is below capacity', () => {
  const worker = makeWorker('a', { max: 2 });
  const pool = poolOf(worker);
  worker.status = 'resting';
  expect(pool.getAvailableWorker('llama-3')).toBeNull();
  expect(pool.getAnyAvailableWorker()).toBeNull();
  pool.trackRequest('a', 'r0');
  expect(worker.status).toBe('resting');
  pool.trackRequest('a', 'r1');
  expect(worker.status).toBe('busy');
});

test('a count that the caller sets holds in the next query', () => {
  const [first, second] = [makeWorker('a', { max: 4 }), makeWorker('b', { max: 4 })];
  const pool = poolOf(first, second);
  first.activeRequests = 3;
  expect(pool.getAvailableWorker('llama-3')).toBe(second);
  expect(pool.getAvailableSlotCount('llama-3')).toBe(5);
  first.activeRequests = 0.5;
  second.activeRequests = 0.75;
  expect(pool.getAvailableWorker('llama-3')).toBe(first);
  expect(pool.getAvailableSlotCount('llama-3')).toBe(6.75);
});

test('a fraction or a huge count of active requests is handled by the same rules', () => {
  const worker = makeWorker('a', { max: 1000 });
  const pool = poolOf(worker);
  worker.activeRequests = 998.5;
  pool.trackRequest('a', 'r');
  expect(worker).toMatchObject({ activeRequests: 999.5, status: 'available' });
  pool.trackRequest('a', 's');
  expect(worker).toMatchObject({ activeRequests: 1000.5, status: 'busy' });
  pool.releaseRequest('s');
  expect(worker).toMatchObject({ activeRequests: 999.5, status: 'available' });
});

test('a category count that the caller sets holds in the next query', () => {
  const worker = makeWorker('a', { max: 9, limits: { chat: 2 } });
  const pool = poolOf(worker);
  expect(pool.getAvailableSlotCount('llama-3', 'chat')).toBe(2);
  worker.categoryActiveRequests.set('chat', 2);
  expect(pool.getAvailableSlotCount('llama-3', 'chat')).toBe(0);
  expect(pool.getAvailableWorker('llama-3', 'chat')).toBeNull();
});

test('a request that the caller added to pendingRequests can be released', () => {
  const [first, second] = [makeWorker('a'), makeWorker('b')];
  const pool = poolOf(first, second);
  second.pendingRequests.add('mine');
  second.activeRequests = 1;
  pool.releaseRequest('mine', { incrementCompleted: true });
  expect(second).toMatchObject({ activeRequests: 0, completedRequests: 1 });
  expect(second.pendingRequests.size).toBe(0);
});

test('a request that the caller took out of pendingRequests is unknown', () => {
  const worker = makeWorker('a');
  const pool = poolOf(worker);
  pool.trackRequest('a', 'r');
  worker.pendingRequests.delete('r');
  pool.releaseRequest('r', { incrementCompleted: true });
  expect(worker).toMatchObject({ activeRequests: 1, completedRequests: 0 });
});

test('a request that the caller moved to another worker is released there', () => {
  const [first, second] = [makeWorker('a'), makeWorker('b', { activeRequests: 1 })];
  const pool = poolOf(first, second);
  pool.trackRequest('a', 'r');
  first.pendingRequests.delete('r');
  second.pendingRequests.add('r');
  pool.releaseRequest('r');
  expect([first.activeRequests, second.activeRequests]).toEqual([1, 0]);
});

test('requests that the caller takes out itself are not remembered for ever', () => {
  const worker = makeWorker('a', { max: 1e9 });
  const pool = poolOf(worker);
  for (let request = 0; request < 50_000; request += 1) {
    pool.trackRequest('a', `r${request}`);
    worker.pendingRequests.clear();
  }
  pool.trackRequest('a', 'r7');
  pool.releaseRequest('r7');
  expect(worker.activeRequests).toBe(50_000);
});

test('a last heartbeat that the caller sets is where silence is measured from', () => {
  const worker = makeWorker('a', { lastHeartbeat: new Date(0) });
  const pool = poolOf(worker);
  worker.lastHeartbeat = new Date();
  expect(pool.checkHealth(60_000)).toEqual([]);
  expect(worker.status).toBe('available');
});

test('capabilities are read when the worker is added, and left alone', () => {
  const worker = makeWorker('a', { max: 3 });
  const { capabilities } = worker;
  const before = structuredClone(capabilities);
  const pool = poolOf(worker);
  pool.getAvailableWorker('llama-3');
  expect(worker.capabilities).toBe(capabilities);
  expect(capabilities).toEqual(before);
});

test('metadata may hold what JSON cannot', () => {
  const worker = makeWorker('a');
  worker.capabilities.metadata = { big: 1n, run() {} };
  worker.capabilities.metadata.self = worker.capabilities;
  worker.capabilities.models[0].owner = worker.capabilities;
  const pool = poolOf(worker);
  expect(pool.getAvailableWorker('llama-3')).toBe(worker);
});

test('an instance of a class with accessors and private state is a worker like any other', () => {
  class Tracked {
    #status = 'available';
    #active = 0;
    changes = [];
    id = 'a';
    name = 'A';
    websocket = mockSocket();
    sessionId = 's';
    connectedAt = new Date();
    lastHeartbeat = new Date();
    pendingRequests = new Set();
    completedRequests = 0;
    requestCategories = new Map();
    categoryActiveRequests = new Map();

    get capabilities() {
      return { models: [modelOf('llama-3')], maxConcurrentRequests: 1 };
    }

    get status() {
      return this.#status;
    }

    set status(status) {
      this.changes.push(status);
      this.#status = status;
    }

    get activeRequests() {
      return this.#active;
    }

    set activeRequests(count) {
      this.#active = count;
    }
  }
  class Special extends Tracked {}
  const worker = new Special();
  const pool = poolOf(worker);
  expect(pool.getAvailableWorker('llama-3')).toBe(worker);
  pool.trackRequest('a', 'r');
  pool.releaseRequest('r');
  expect(worker.changes).toEqual(['busy', 'available']);
  expect(worker.activeRequests).toBe(0);
});

test('Sets and Maps of another realm, and subclasses of them, are Sets and Maps', () => {
  const { Set: OtherSet, Map: OtherMap } = require('node:vm').runInNewContext('({ Set, Map })');
  class MySet extends Set {}
  const foreign = makeWorker('a', { pendingRequests: new OtherSet(), categoryActiveRequests: new OtherMap() });
  const own = makeWorker('b', { pendingRequests: new MySet() });
  const pool = poolOf(foreign, own);
  for (const worker of [foreign, own]) {
    pool.trackRequest(worker.id, `of ${worker.id}`, 'chat');
    expect(worker.pendingRequests.has(`of ${worker.id}`)).toBe(true);
    pool.releaseRequest(`of ${worker.id}`);
    expect(worker.pendingRequests.size).toBe(0);
  }
});

test('a subclass of WorkerPool works', () => {
  class Fleet extends WorkerPool {
    add(worker) {
      super.add({ ...worker, name: 'renamed' });
    }
  }
  const fleet = new Fleet();
  fleet.add(makeWorker('a'));
  expect(fleet.getAvailableWorker('llama-3').name).toBe('renamed');
});

test('two pools know nothing of each other', () => {
  const [one, other] = [poolOf(makeWorker('a')), poolOf(makeWorker('a'))];
  one.trackRequest('a', 'r');
  other.releaseRequest('r');
  expect(one.get('a').activeRequests).toBe(1);
  expect(other.get('a').activeRequests).toBe(0);
});
