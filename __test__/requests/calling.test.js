'use strict';

// What request() and stream() are called with, and in which order that is judged.

const { createServer, startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const cyclic = {};
cyclic.self = cyclic;

test.each([
  [null, 'options must be an object'],
  ['m', 'options must be an object'],
  [{ model: 7 }, 'options.model must be a string'],
  [{ model: null }, 'options.model must be a string'],
  [{ category: 7 }, 'options.category must be a string'],
  [{ modelMatch: 'fuzzy' }, "options.modelMatch must be 'loose' or 'exact'"],
  [{ workerId: 7 }, 'options.workerId must be a string'],
  [{ where: 'gpu' }, 'options.where must be an object'],
  [{ where: { gpu: { like: 'a' } } }, 'options.where.gpu.like is not an operator'],
  [{ affinity: 7 }, 'options.affinity must be a string'],
  [{ priority: 'urgent' }, "options.priority must be 'high', 'medium' or 'low'"],
  [{ fairKey: 7 }, 'options.fairKey must be a string'],
  [{ requestId: '' }, 'options.requestId must be a string of 1 to 256 UTF-16 units'],
  [{ requestId: 'x'.repeat(257) }, 'options.requestId must be a string of 1 to 256 UTF-16 units'],
  [{ signal: {} }, 'options.signal must be an AbortSignal'],
  [{ timeoutMs: 0 }, 'options.timeoutMs must be'],
  [{ timeoutMs: -1 }, 'options.timeoutMs must be'],
  [{ timeoutMs: NaN }, 'options.timeoutMs must be'],
  [{ timeoutMs: '5' }, 'options.timeoutMs must be'],
  [{ queueTimeoutMs: -1 }, 'options.queueTimeoutMs must be'],
  [{ idleTimeoutMs: null }, 'options.idleTimeoutMs must be'],
  [{ maxAttempts: 0 }, 'options.maxAttempts must be a whole number from 1, or Infinity'],
  [{ maxAttempts: 1.5 }, 'options.maxAttempts must be a whole number from 1, or Infinity'],
  [{ onQueued: 'x' }, 'options.onQueued must be a function'],
  [{ onStarted: {} }, 'options.onStarted must be a function'],
  [{ onProgress: null }, 'options.onProgress must be a function'],
  ...[
    'category',
    'modelMatch',
    'workerId',
    'where',
    'affinity',
    'priority',
    'fairKey',
    'requestId',
    'signal',
    'timeoutMs',
    'queueTimeoutMs',
    'maxAttempts',
    'onQueued',
    'onStarted',
  ].map((name) => [{ [name]: null }, `options.${name} must be`]),
])(
  'options %j reject the promise, and a stream in both its places, with a TypeError that names them',
  async (options, message) => {
    const { server } = await startServer();
    const error = await rejection(server.request({}, options));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(message);
    const stream = server.stream({}, options);
    await expect(stream.result).rejects.toThrow(message);
    await expect(stream.next()).rejects.toThrow(message);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  },
);

test('a payload that JSON cannot hold rejects with what JSON.stringify threw', async () => {
  const { server } = await startServer();
  await expect(server.request(cyclic)).rejects.toThrow(/circular/);
  await expect(server.request({ n: 1n })).rejects.toThrow(/BigInt/);
});

test('a stream whose payload JSON cannot hold has the id that it was called with', async () => {
  const { server } = await startServer();
  for (const called of [server, createServer().server]) {
    const stream = called.stream(cyclic, { requestId: 'r' });
    expect([stream.requestId, stream.worker]).toEqual(['r', null]);
    await expect(stream.result).rejects.toThrow(/circular/);
  }
});

test('a payload whose frame would exceed limits.maxQueuedBytes is a TypeError', async () => {
  const { server } = await startServer({ limits: { maxQueuedBytes: 1_000 } });
  await connectRequestWorker(server);
  const error = await rejection(server.request({ text: 'x'.repeat(1_000) }));
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toContain('limits.maxQueuedBytes');
  // 400 characters of three bytes each.
  await expect(server.request({ text: '€'.repeat(400) })).rejects.toThrow(TypeError);
});

test('options and payload are judged before the state, the state before the signal', async () => {
  const { server } = createServer({ limits: { maxQueuedBytes: 1_000 } });
  await expect(server.request(cyclic)).rejects.toThrow(/circular/);
  await expect(server.request({}, { maxAttempts: 0 })).rejects.toThrow(TypeError);
  await expect(server.request('x'.repeat(1_000))).rejects.toThrow(/^payload must be something whose frame has at most/);
  const error = await rejection(server.request({}, { signal: AbortSignal.abort() }));
  expect(error).toMatchObject({ name: 'WorkerRequestError', code: 'SERVER_STOPPING', attempts: 0, started: false });
});

test('a signal that is aborted already rejects with its reason, before an id in use, and an id before a free slot', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const first = server.request({}, { requestId: 'r1' });
  const reason = new Error('no longer wanted');
  await expect(server.request({}, { requestId: 'r1', signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const error = await rejection(server.request({}, { requestId: 'r1' }));
  expect(error).toMatchObject({ code: 'DUPLICATE_ID', requestId: 'r1', attempts: 0, started: false });
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await first).toBe(1);
  const again = server.request({}, { requestId: 'r1' });
  worker.answer(await worker.nextRequest(), 'result', { data: 2 });
  expect(await again).toBe(2);
});

test('deadlines beyond what a timer of Node can wait, and none at all, are kept', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e300, Infinity]) {
    const options = { timeoutMs, queueTimeoutMs: timeoutMs, idleTimeoutMs: timeoutMs };
    const running = server.request({}, options);
    const waiting = server.request({}, options);
    const request = await worker.nextRequest();
    if (timeoutMs === Infinity) expect(request).not.toHaveProperty('timeoutMs');
    else expect(Math.abs(request.timeoutMs / timeoutMs - 1)).toBeLessThan(0.001);
    worker.answer(request, 'result', { data: 1 });
    expect(await running).toBe(1);
    worker.answer(await worker.nextRequest(), 'result', { data: 2 });
    expect(await waiting).toBe(2);
  }
});

test('an id that trackRequest holds is in use, until it is released', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  server.trackRequest('w', 'r1');
  expect(await rejection(server.request({}, { requestId: 'r1' }))).toMatchObject({ code: 'DUPLICATE_ID' });
  server.releaseRequest('r1');
  const answer = server.request({}, { requestId: 'r1' });
  worker.answer(await worker.nextRequest(), 'result');
  expect(await answer).toBeUndefined();
});

test('the payload is serialised at the call: what its owner changes afterwards does not matter', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const [first, payload] = [server.request(0), { text: 'before' }];
  const second = server.request(payload);
  payload.text = 'after';
  worker.answer(await worker.nextRequest(), 'result');
  await first;
  const request = await worker.nextRequest();
  expect(request.payload).toEqual({ text: 'before' });
  worker.answer(request, 'result');
  await second;
});

test('in every state but running it is SERVER_STOPPING', async () => {
  const { server } = createServer();
  const refused = [];
  const ask = () => {
    const { state } = server;
    refused.push(rejection(server.request({})).then(({ code, attempts, started }) => [state, code, attempts, started]));
  };
  ask();
  const started = server.start();
  ask();
  await started;
  server.trackRequest('nobody', 'x');
  const worker = await connectRequestWorker(server);
  const running = server.request({}).catch(() => {});
  await worker.nextRequest();
  server.drain();
  ask();
  const stopped = server.stop();
  ask();
  await Promise.all([stopped, running]);
  ask();
  const states = ['stopped', 'starting', 'draining', 'stopping', 'stopped'];
  expect(await Promise.all(refused)).toEqual(states.map((state) => [state, 'SERVER_STOPPING', 0, false]));
});

test('an id is in use while it waits, and trackRequest and releaseRequest of it only warn', async () => {
  const { server, log } = await startServer();
  server.request({}, { requestId: 'waits' }).catch(() => {});
  expect(await rejection(server.request({}, { requestId: 'waits' }))).toMatchObject({ code: 'DUPLICATE_ID' });
  server.trackRequest('nobody', 'waits');
  server.releaseRequest('waits');
  expect(log.contexts('Request belongs to request()')).toEqual(Array(2).fill({ requestId: 'waits' }));
  expect(server.getQueueInfo().size).toBe(1);
});

test('idleTimeoutMs 0 is none, as undefined is', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const answers = [0, undefined].map((idleTimeoutMs) => server.request({}, { idleTimeoutMs }));
  const requests = [await worker.nextRequest(), await worker.nextRequest()];
  await new Promise((resolve) => setTimeout(resolve, 30));
  requests.forEach((request) => worker.answer(request, 'result', { data: 1 }));
  expect(await Promise.all(answers)).toEqual([1, 1]);
});
