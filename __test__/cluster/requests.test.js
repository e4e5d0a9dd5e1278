'use strict';

// What a request at one node sees of the workers of another.

const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

test('a request reaches a worker of another node, with all that it asks for, and gets its result', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b, 'w', { models: ['m'] });
  await untilWorkers([a], 1);
  const started = [];
  const progress = [];
  const result = a.request(
    { n: 1 },
    {
      model: 'm',
      category: 'chat',
      requestId: 'r1',
      timeoutMs: 50_000,
      onStarted: (info, attempt) => started.push([info, attempt]),
      onProgress: (data) => progress.push(data),
    },
  );
  const request = await worker.nextRequest();
  expect(request).toEqual({
    type: 'request',
    requestId: 'r1',
    attempt: 1,
    timeoutMs: expect.any(Number),
    model: 'm',
    category: 'chat',
    stream: false,
    payload: { n: 1 },
  });
  worker.answer(request, 'progress', { data: 'half' });
  worker.answer(request, 'result', { data: { answer: 42 } });
  await expect(result).resolves.toEqual({ answer: 42 });
  expect(progress).toEqual(['half']);
  const [[info, attempt]] = started;
  expect(attempt).toBe(1);
  expect(info).toEqual({
    ...b.getWorkerInfo()[0],
    lastHeartbeat: expect.any(Date),
    activeRequests: 1,
    completedRequests: 0,
    pendingRequestIds: new Set(['r1']),
    categoryActiveRequests: new Map([['chat', 1]]),
  });
  expect(b.getWorkerInfo()[0]).toMatchObject({ activeRequests: 0, completedRequests: 1 });
});

test('a result of nothing is undefined, and payloads are optional', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const result = a.request(undefined);
  const request = await worker.nextRequest();
  expect('payload' in request).toBe(false);
  worker.answer(request, 'result');
  await expect(result).resolves.toBeUndefined();
});

test('a stream of another node brings its chunks in order, then its result', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const stream = a.stream('x');
  expect(stream.worker).toBeNull();
  const request = await worker.nextRequest();
  expect(request.stream).toBe(true);
  for (let seq = 0; seq < 100; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
  worker.answer(request, 'result', { data: 'end' });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toEqual(Array.from({ length: 100 }, (_, seq) => seq));
  await expect(stream.result).resolves.toBe('end');
  expect(stream.worker.id).toBe('w');
});

test('an abort reaches the worker of another node, and the id is under way until the worker has confirmed', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const controller = new AbortController();
  const result = a.request('x', { requestId: 'r', signal: controller.signal });
  const request = await worker.nextRequest();
  controller.abort(new Error('enough'));
  await expect(result).rejects.toThrow('enough');
  expect(await worker.next('request_cancel')).toEqual({
    type: 'request_cancel',
    requestId: 'r',
    attempt: 1,
    reason: 'aborted',
  });
  expect(await rejection(a.request('y', { requestId: 'r' }))).toMatchObject({ code: 'DUPLICATE_ID', started: false });
  worker.answer(request, 'error', { error: { message: 'cancelled', code: 'CANCELLED' } });
  await until(() => b.getWorkerInfo()[0].activeRequests === 0);
});

test('an error of a worker of another node is whole, and a retryable one is tried elsewhere', async () => {
  const [a, b, c] = await startFleet(['a', 'b', 'c']);
  const first = await connectRequestWorker(b, 'w1');
  const second = await connectRequestWorker(c, 'w2');
  await untilWorkers([a], 2);
  const data = { message: 'no memory', code: 'OOM', retryable: true, data: { free: 0 } };
  const result = a.request('x', { requestId: 'r', maxAttempts: 2 });
  const asked = [first, second].map(async (worker) => ({ worker, request: await worker.nextRequest() }));
  const { worker, request } = await Promise.race(asked);
  worker.answer(request, 'error', { error: data });
  const [, { worker: other, request: again }] = (await Promise.all(asked)).sort(
    (one, two) => one.request.attempt - two.request.attempt,
  );
  expect(again.attempt).toBe(2);
  other.answer(again, 'error', { error: { message: 'still', retryable: true } });
  expect(await rejection(result)).toMatchObject({
    code: 'WORKER_ERROR',
    message: 'still',
    attempts: 2,
    workerId: other.id,
    started: true,
    data: { message: 'still', retryable: true },
  });
  expect(worker).not.toBe(other);
});

test('a rejection takes a request to a worker of another node', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const here = await connectRequestWorker(a, 'here');
  const there = await connectRequestWorker(b, 'there');
  await untilWorkers([a], 2);
  const result = a.request('x');
  here.answer(await here.nextRequest(), 'reject', { reason: 'busy' });
  const request = await there.nextRequest();
  expect(request.attempt).toBe(2);
  there.answer(request, 'result', { data: 1 });
  await expect(result).resolves.toBe(1);
});

test('a request waits at its origin, and gets the slot that becomes free at another node at once', async () => {
  const [a, b] = await startFleet(['a', 'b'], { cluster: { heartbeatMs: 10_000, timeoutMs: 30_000 } });
  const worker = await connectRequestWorker(b, 'w', { slots: 1 });
  await untilWorkers([a], 1);
  const first = b.request('first');
  const running = await worker.nextRequest();
  const queued = [];
  const second = a.request('second', { onQueued: (place) => queued.push(place) });
  await until(() => a.getQueueInfo().size === 1);
  expect(queued).toEqual([{ position: 1, size: 1 }]);
  expect(b.getQueueInfo()).toMatchObject({ size: 0, bytes: 0, oldestMs: 0 });
  worker.answer(running, 'result', { data: 1 });
  const request = await worker.nextRequest();
  expect(request.payload).toBe('second');
  worker.answer(request, 'result', { data: 2 });
  await expect(Promise.all([first, second])).resolves.toEqual([1, 2]);
  expect(b.getWorkerInfo()[0]).toMatchObject({ status: 'available', activeRequests: 0 });
});

test('a freed slot goes to the oldest of the highest class that waits at any node', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b, 'w', { slots: 1 });
  await untilWorkers([a], 1);
  const ended = [b.request('running')];
  let request = await worker.nextRequest();
  const wait = async (server, payload, priority) => {
    const { size } = server.getQueueInfo();
    ended.push(server.request(payload, { priority }));
    await until(() => server.getQueueInfo().size === size + 1);
    // Ages differ by whole milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 30));
  };
  await wait(a, 'a low', 'low');
  await wait(b, 'b1', 'medium');
  await wait(a, 'a1', 'medium');
  await wait(b, 'b2', 'medium');
  await wait(a, 'a high', 'high');
  const order = [];
  for (let count = 0; count < 5; count += 1) {
    worker.answer(request, 'result');
    request = await worker.nextRequest();
    order.push(request.payload);
  }
  worker.answer(request, 'result');
  expect(order).toEqual(['a high', 'b1', 'a1', 'b2', 'a low']);
  await Promise.all(ended);
});

test('NO_WORKER and explain count the workers of all nodes', async () => {
  const [a, b] = await startFleet(['a', 'b'], { queue: { whenNoWorker: 'fail', timeoutMs: 50 } });
  await connectRequestWorker(a, 'w1', { models: ['m'] });
  const worker = await connectRequestWorker(b, 'w2', { models: ['n'], slots: 1 });
  await untilWorkers([a, b], 2);
  expect(a.explain({ model: 'n' })).toEqual({
    text: '2 worker(s): 1 does not serve "n", 1 free',
    workers: [
      { id: 'w1', takes: false, reason: 'model', node: 'a' },
      { id: 'w2', takes: true, reason: 'free', node: 'b' },
    ],
  });
  const running = a.request('x', { model: 'n' });
  const request = await worker.nextRequest();
  expect(await rejection(a.request('y', { model: 'n' }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
  const error = await rejection(a.request('z', { model: 'other' }));
  expect(error).toMatchObject({ code: 'NO_WORKER', attempts: 0, started: false });
  expect(error.message).toContain('2 worker(s): 2 do not serve "other"');
  worker.answer(request, 'result');
  await running;
});

test('where, workerId and affinity reach the workers of every node', async () => {
  const servers = await startFleet(['a', 'b', 'c']);
  const workers = new Map();
  for (const [at, server] of servers.entries()) {
    const id = `w${at}`;
    workers.set(id, await connectRequestWorker(server, id, { slots: 50, metadata: { gpu: `g${at}` } }));
  }
  await untilWorkers(servers, 3);
  const ask = async (server, options) => {
    const result = server.request('x', options);
    const hits = [...workers].map(([id, worker]) =>
      worker.nextRequest().then((request) => {
        worker.answer(request, 'result', { data: id });
        return id;
      }),
    );
    const id = await Promise.race(hits);
    await expect(result).resolves.toBe(id);
    for (const worker of workers.values()) worker.readers.length = 0;
    return id;
  };
  expect(await ask(servers[0], { where: { gpu: 'g2' } })).toBe('w2');
  expect(await ask(servers[0], { workerId: 'w1' })).toBe('w1');
  for (const affinity of ['k1', 'k2', 'k3', 'k4']) {
    const chosen = [];
    for (const server of servers) chosen.push(await ask(server, { affinity }));
    expect(new Set(chosen).size).toBe(1);
  }
});

test('an id that is under way at the node of the worker is DUPLICATE_ID', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const first = b.request('x', { requestId: 'same' });
  const request = await worker.nextRequest();
  const error = await rejection(a.request('y', { requestId: 'same' }));
  expect(error).toMatchObject({ code: 'DUPLICATE_ID', attempts: 0, started: false });
  worker.answer(request, 'result');
  await first;
});

test('the synchronous methods of 1.0.12 see only the workers of their own node', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  await connectRequestWorker(b, 'w', { models: ['m'] });
  await untilWorkers([a], 1);
  expect([a.getWorkerCount(), a.getAvailableWorker('m'), a.getAvailableSlotCount('m')]).toEqual([0, null, 0]);
  expect([b.getWorkerCount(), b.getAvailableSlotCount('m')]).toEqual([1, 2]);
  expect(a.send('w', { type: 'x' })).toBe(false);
});

test('a draining node takes no forwards, and its workers get none of what waits elsewhere', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b, 'w', { slots: 1 });
  await untilWorkers([a], 1);
  const running = a.request('running');
  const request = await worker.nextRequest();
  const waiting = a.request('waiting', { queueTimeoutMs: 300 });
  await until(() => a.getQueueInfo().size === 1);
  const drained = b.drain({ timeoutMs: 5_000 });
  worker.answer(request, 'result', { data: 'done' });
  await expect(running).resolves.toBe('done');
  await expect(drained).resolves.toEqual({ drained: true, remaining: 0 });
  expect(await rejection(waiting)).toMatchObject({ code: 'QUEUE_TIMEOUT' });
  expect(worker.unread.filter(({ type }) => type === 'request')).toEqual([]);
});
