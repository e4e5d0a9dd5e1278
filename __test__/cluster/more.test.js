'use strict';

// Further sentences about requests that go to other nodes.

const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');

async function startWithWorker(options, worker = {}) {
  const [a, b] = await startFleet(['a', 'b'], options);
  const client = await connectRequestWorker(b, 'w', worker);
  await untilWorkers([a], 1);
  return { a, b, worker: client };
}

test('a timeout at the origin reaches the worker of another node as such', async () => {
  const { a, worker } = await startWithWorker();
  const failed = rejection(a.request('x', { requestId: 'r', timeoutMs: 200 }));
  const request = await worker.nextRequest();
  expect(request.timeoutMs).toBeLessThanOrEqual(200);
  expect(await failed).toMatchObject({ code: 'TIMEOUT', attempts: 1, started: true, workerId: 'w' });
  expect(await worker.next('request_cancel')).toMatchObject({ requestId: 'r', attempt: 1, reason: 'timeout' });
});

test('idleTimeoutMs counts from the sending, and again from each message, at the node of the worker', async () => {
  const { a, worker } = await startWithWorker();
  const failed = rejection(a.request('x', { idleTimeoutMs: 300 }));
  const request = await worker.nextRequest();
  for (let count = 0; count < 4; count += 1) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    worker.answer(request, 'progress');
  }
  const error = await failed;
  expect(error).toMatchObject({ code: 'TIMEOUT', started: true });
  expect(error.message).toBe('Nothing was heard of the request for 300 ms');
  expect(await worker.next('request_cancel')).toMatchObject({ reason: 'timeout' });
});

test('a request that never waits is given to a free slot of another node all the same', async () => {
  const { a, worker } = await startWithWorker({}, { slots: 1 });
  const result = a.request('x', { queueTimeoutMs: 0 });
  const request = await worker.nextRequest();
  expect(await rejection(a.request('y', { queueTimeoutMs: 0 }))).toMatchObject({
    code: 'QUEUE_TIMEOUT',
    started: false,
  });
  worker.answer(request, 'result', { data: 1 });
  await expect(result).resolves.toBe(1);
});

test('the bounds of the queue are those of the origin', async () => {
  const { a, b, worker } = await startWithWorker({ queue: { maxSize: 1 } }, { slots: 1 });
  const running = a.request('running');
  const request = await worker.nextRequest();
  const waiting = [a.request('a'), b.request('b')];
  await until(() => a.getQueueInfo().size === 1 && b.getQueueInfo().size === 1);
  const full = await rejection(a.request('too many'));
  expect(full).toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
  worker.answer(request, 'result');
  for (let count = 0; count < 2; count += 1) worker.answer(await worker.nextRequest(), 'result');
  await Promise.all([running, ...waiting]);
});

test('chunks that nobody reads end that stream alone, at its origin', async () => {
  const { a, worker } = await startWithWorker({ limits: { maxStreamBytes: 10_000 } });
  const slow = a.stream('slow');
  const fine = a.stream('fine');
  const requests = [await worker.nextRequest(), await worker.nextRequest()];
  const [toSlow, toFine] = requests.sort(({ payload }) => (payload === 'slow' ? -1 : 1));
  for (let seq = 0; seq < 20; seq += 1) worker.answer(toSlow, 'chunk', { seq, data: 'x'.repeat(1_000) });
  worker.answer(toFine, 'chunk', { seq: 0, data: 'fine' });
  worker.answer(toFine, 'result', { data: 'end' });
  expect(await rejection(slow.result)).toMatchObject({ code: 'STREAM_OVERFLOW', started: true });
  await expect(fine.result).resolves.toBe('end');
  expect((await fine.next()).value).toBe('fine');
  expect(await worker.next('request_cancel')).toMatchObject({ requestId: slow.requestId, reason: 'aborted' });
});

test('chunks for request() are not carried to its origin', async () => {
  const { a, worker } = await startWithWorker();
  const result = a.request('x');
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0, data: 'ignored' });
  worker.answer(request, 'result', { data: 'whole' });
  await expect(result).resolves.toBe('whole');
});

test('a chunk that skips a number ends the stream with WORKER_ERROR, and what came before can be read', async () => {
  const { a, worker } = await startWithWorker();
  const stream = a.stream('x', { maxAttempts: 3 });
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0, data: 'first' });
  worker.answer(request, 'chunk', { seq: 2, data: 'third' });
  expect(await rejection(stream.result)).toMatchObject({ code: 'WORKER_ERROR', attempts: 1 });
  expect((await stream.next()).value).toBe('first');
});

test('with preferLocal false the freer of two nodes gets a request, though there is a slot here', async () => {
  const [a, b] = await startFleet(['a', 'b'], { cluster: { preferLocal: false } });
  const here = await connectRequestWorker(a, 'here', { slots: 1 });
  const there = await connectRequestWorker(b, 'there', { slots: 5 });
  await untilWorkers([a, b], 2);
  const result = a.request('x');
  there.answer(await there.nextRequest(), 'result', { data: 'there' });
  await expect(result).resolves.toBe('there');
  expect(here.unread.filter(({ type }) => type === 'request')).toEqual([]);
});

test('by default a free slot here comes first', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const here = await connectRequestWorker(a, 'here', { slots: 1 });
  await connectRequestWorker(b, 'there', { slots: 5 });
  await untilWorkers([a, b], 2);
  const result = a.request('x');
  here.answer(await here.nextRequest(), 'result', { data: 'here' });
  await expect(result).resolves.toBe('here');
});

test('workers without features take part at every node, where the server knows their types', async () => {
  const requestTypes = { request: 'work_request', result: 'work_complete', cancel: 'work_cancel' };
  const [a, b] = await startFleet(['a', 'b'], { requestTypes });
  const worker = await connectWorker(b, 'old');
  await untilWorkers([a], 1);
  const result = a.request({ task: 1 }, { requestId: 'r' });
  expect(await worker.next('work_request')).toEqual({ type: 'work_request', requestId: 'r', task: 1 });
  worker.send({ type: 'work_complete', requestId: 'r', answer: 42 });
  await expect(result).resolves.toEqual({ type: 'work_complete', requestId: 'r', answer: 42 });
  expect(a.explain().workers).toEqual([{ id: 'old', takes: true, reason: 'free', node: 'b' }]);
});

test('models that a worker loads, and that it drains, are known at every node', async () => {
  const { a, b, worker } = await startWithWorker({}, { models: ['m'] });
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['n'], 3) });
  await worker.next('worker_update_ack');
  await until(() => a.explain({ model: 'n' }).workers[0].takes);
  expect(a.explain({ model: 'm' }).workers[0]).toMatchObject({ takes: false, reason: 'model' });
  expect(b.setWorkerStatus('w', 'draining')).toBe(true);
  await until(() => a.explain({ model: 'n' }).workers[0].reason === 'draining');
  expect(await rejection(a.request('x', { queueTimeoutMs: 0 }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
});

test('the workers of a draining node are said to drain', async () => {
  const { a, b, worker } = await startWithWorker();
  const running = b.request('x');
  const request = await worker.nextRequest();
  const drained = b.drain();
  await until(() => a.explain().workers[0].reason === 'draining');
  worker.answer(request, 'result');
  await running;
  await expect(drained).resolves.toEqual({ drained: true, remaining: 0 });
});

test('drain() waits for what other nodes have on its workers', async () => {
  const { a, b, worker } = await startWithWorker();
  const result = a.request('x');
  const request = await worker.nextRequest();
  const drained = b.drain();
  expect(await b.drain({ timeoutMs: 50 })).toEqual({ drained: false, remaining: 1 });
  worker.answer(request, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
  await expect(drained).resolves.toEqual({ drained: true, remaining: 0 });
});

test('no limit is overbooked, however many nodes ask at once, and everything has its turn', async () => {
  const servers = await startFleet(['a', 'b', 'c']);
  const worker = await connectRequestWorker(servers[0], 'w', { slots: 3, limits: { chat: 2 } });
  await untilWorkers(servers, 1);
  const results = [];
  for (let n = 0; n < 60; n += 1) {
    results.push(servers[n % 3].request(n, { category: n % 2 === 0 ? 'chat' : undefined }));
  }
  const under = new Set();
  for (let n = 0; n < 60; n += 1) {
    const request = await worker.nextRequest();
    under.add(request);
    const info = servers[0].getWorkerInfo()[0];
    expect(info.activeRequests).toBeLessThanOrEqual(3);
    expect(info.categoryActiveRequests.get('chat') ?? 0).toBeLessThanOrEqual(2);
    const [oldest] = under;
    under.delete(oldest);
    worker.answer(oldest, 'result', { data: oldest.payload });
  }
  await expect(Promise.all(results)).resolves.toEqual(Array.from({ length: 60 }, (_, n) => n));
  await until(() => servers[0].getWorkerInfo()[0].activeRequests === 0);
  expect(servers[0].getWorkerInfo()[0]).toMatchObject({ status: 'available', completedRequests: 60 });
});

test('the onProgress and onStarted of a caller are never called after its end', async () => {
  const { a, worker } = await startWithWorker();
  const calls = [];
  const controller = new AbortController();
  const failed = rejection(a.request('x', { signal: controller.signal, onProgress: () => calls.push('progress') }));
  const request = await worker.nextRequest();
  controller.abort();
  worker.answer(request, 'progress');
  worker.answer(request, 'result');
  await worker.sync();
  expect((await failed).name).toBe('AbortError');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(calls).toEqual([]);
});
