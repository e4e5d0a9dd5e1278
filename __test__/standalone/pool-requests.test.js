'use strict';

const { WorkerPool } = require('../support/package.js');
const { makeWorker } = require('../support/standalone.js');

let pool;
let worker;

beforeEach(() => {
  pool = new WorkerPool();
  worker = makeWorker('a', { max: 2 });
  pool.add(worker);
});

test("a tracked request is counted and pending on the caller's own object", () => {
  pool.trackRequest('a', 'r');
  expect(worker.activeRequests).toBe(1);
  expect([...worker.pendingRequests]).toEqual(['r']);
  expect(worker.requestCategories.size).toBe(0);
  expect(worker.categoryActiveRequests.size).toBe(0);
  expect(worker.status).toBe('available');
});

test('a request tracked with a category is counted there too', () => {
  pool.trackRequest('a', 'r', 'chat');
  expect(worker.requestCategories.get('r')).toBe('chat');
  expect(worker.categoryActiveRequests.get('chat')).toBe(1);
});

test('tracking on an unknown worker does nothing', () => {
  pool.trackRequest('nobody', 'r');
  pool.releaseRequest('r', { incrementCompleted: true });
  expect(worker).toMatchObject({ activeRequests: 0, completedRequests: 0 });
});

test.each(['available', 'draining', 'unhealthy'])('at capacity a worker that was %s becomes busy', (status) => {
  worker.status = status;
  pool.trackRequest('a', 'r0');
  expect(worker.status).toBe(status);
  pool.trackRequest('a', 'r1');
  expect(worker.status).toBe('busy');
});

test('a release undoes what tracking did, and a category stays at 0', () => {
  pool.trackRequest('a', 'r', 'chat');
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(0);
  expect(worker.pendingRequests.size).toBe(0);
  expect(worker.requestCategories.size).toBe(0);
  expect([...worker.categoryActiveRequests]).toEqual([['chat', 0]]);
});

test('below capacity a release makes a busy worker available, and no other', () => {
  pool.trackRequest('a', 'r0');
  pool.trackRequest('a', 'r1');
  expect(worker.status).toBe('busy');
  pool.releaseRequest('r0');
  expect(worker.status).toBe('available');
  worker.status = 'draining';
  pool.releaseRequest('r1');
  expect(worker.status).toBe('draining');
});

test('a worker that is over capacity stays busy until it is below', () => {
  for (const request of ['r0', 'r1', 'r2']) pool.trackRequest('a', request);
  pool.releaseRequest('r0');
  expect(worker).toMatchObject({ activeRequests: 2, status: 'busy' });
  pool.releaseRequest('r1');
  expect(worker).toMatchObject({ activeRequests: 1, status: 'available' });
});

test('only a release that says so counts as completed', () => {
  for (const request of ['r0', 'r1', 'r2']) pool.trackRequest('a', request);
  pool.releaseRequest('r0');
  pool.releaseRequest('r1', {});
  pool.releaseRequest('r2', { incrementCompleted: false });
  expect(worker.completedRequests).toBe(0);
  pool.trackRequest('a', 'r3');
  pool.releaseRequest('r3', { incrementCompleted: true });
  expect(worker.completedRequests).toBe(1);
});

test('releasing an unknown id, or one twice, does nothing', () => {
  pool.trackRequest('a', 'r0');
  pool.trackRequest('a', 'r1');
  pool.releaseRequest('r0');
  pool.releaseRequest('r0', { incrementCompleted: true });
  pool.releaseRequest('other', { incrementCompleted: true });
  expect(worker).toMatchObject({ activeRequests: 1, completedRequests: 0 });
});

test('an id tracked twice is pending once, counts twice, and one release takes it out', () => {
  pool.trackRequest('a', 'r', 'chat');
  pool.trackRequest('a', 'r', 'embed');
  expect(worker.activeRequests).toBe(2);
  expect(worker.pendingRequests.size).toBe(1);
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(1);
  expect(Object.fromEntries(worker.categoryActiveRequests)).toEqual({ chat: 1, embed: 0 });
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(1);
});

test('active requests never go below 0', () => {
  pool.trackRequest('a', 'r', 'chat');
  worker.activeRequests = 0;
  worker.categoryActiveRequests.set('chat', 0);
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(0);
  expect(worker.categoryActiveRequests.get('chat')).toBe(0);
});

test('an id that several workers hold is released on the earliest added first, one by one', () => {
  const others = ['b', 'c'].map((id) => makeWorker(id));
  for (const other of others) pool.add(other);
  for (const id of ['c', 'a', 'b']) pool.trackRequest(id, 'r');
  const active = () => [worker, ...others].map(({ activeRequests }) => activeRequests);
  pool.releaseRequest('r');
  expect(active()).toEqual([0, 1, 1]);
  pool.trackRequest('c', 'r2');
  pool.releaseRequest('r');
  expect(active()).toEqual([0, 0, 2]);
  pool.releaseRequest('r');
  expect(active()).toEqual([0, 0, 1]);
  pool.releaseRequest('r');
  expect(active()).toEqual([0, 0, 1]);
});

test('a worker that was removed holds nothing for the pool any more', () => {
  pool.trackRequest('a', 'r');
  pool.remove('a');
  pool.releaseRequest('r', { incrementCompleted: true });
  expect(worker).toMatchObject({ activeRequests: 1, completedRequests: 0 });
  expect(worker.pendingRequests.has('r')).toBe(true);
});

test('a worker that was added again is found by the requests that it still holds', () => {
  pool.trackRequest('a', 'r');
  pool.remove('a');
  pool.add(worker);
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(0);
});

test('a request of a replaced worker is not released on its successor', () => {
  pool.trackRequest('a', 'r');
  const successor = makeWorker('a');
  pool.add(successor);
  pool.releaseRequest('r');
  expect(worker.activeRequests).toBe(1);
  expect(successor.activeRequests).toBe(0);
});

test('ten thousand requests are released on their own workers, in whatever order', () => {
  const workers = Array.from({ length: 10 }, (_, index) => makeWorker(`w${index}`, { max: 5000 }));
  for (const each of workers) pool.add(each);
  for (let request = 0; request < 10_000; request += 1) pool.trackRequest(`w${request % 10}`, `r${request}`);
  expect(workers.map(({ activeRequests }) => activeRequests)).toEqual(workers.map(() => 1000));
  for (let request = 9_999; request >= 0; request -= 2) pool.releaseRequest(`r${request}`);
  expect(workers.map(({ pendingRequests }) => pendingRequests.size)).toEqual(workers.map((_, i) => (i % 2 ? 0 : 1000)));
});

test('a frozen worker is refused by the language, before anything has changed', () => {
  const frozen = Object.freeze(makeWorker('frozen'));
  pool.add(frozen);
  expect(() => pool.trackRequest('frozen', 'r')).toThrow(TypeError);
  expect(frozen.pendingRequests.size).toBe(0);
  expect(pool.getAvailableWorker('llama-3')).toBe(worker);
});
