'use strict';

// At most once by default; more attempts only where they are allowed.

const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const two = async (options, limits) => {
  const { server, log } = await startServer({ limits });
  const a = await connectRequestWorker(server, 'a', { slots: 1 });
  const b = await connectRequestWorker(server, 'b', { slots: 1 });
  return { server, log, a, b };
};

test('by default a request whose worker is lost ends with WORKER_LOST, and is not sent again', async () => {
  const { server, a, b } = await two();
  const answer = rejection(server.request({}));
  await a.nextRequest();
  await a.die();
  expect(await answer).toMatchObject({ code: 'WORKER_LOST', attempts: 1, workerId: 'a', started: true });
  await b.sync();
  expect(b.frames.some((text) => JSON.parse(text).type === 'request')).toBe(false);
});

test('a rejected request goes elsewhere with the next number, and the rejection does not count as an attempt', async () => {
  const { server, a, b } = await two();
  const started = [];
  const answer = rejection(server.request({}, { onStarted: ({ id }, attempt) => started.push([id, attempt]) }));
  a.answer(await a.nextRequest(), 'reject', { reason: 'busy' });
  const request = await b.nextRequest();
  expect(request.attempt).toBe(2);
  b.answer(request, 'error', { error: { message: 'x' } });
  expect(await answer).toMatchObject({ code: 'WORKER_ERROR', attempts: 1, workerId: 'b', started: true });
  expect(started).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});

test('a worker that rejects for ever gets the request again and again, until its queue time is over; it surely did not run', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  let rejections = 0;
  worker.ws.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.type !== 'request') return;
    rejections += 1;
    worker.answer(message, 'reject', { reason: 'busy' });
  });
  const error = await rejection(server.request({}, { queueTimeoutMs: 400 }));
  expect(error).toMatchObject({ code: 'QUEUE_TIMEOUT', attempts: 0, started: false });
  expect(rejections).toBeGreaterThanOrEqual(2);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test('with maxAttempts a lost request goes to another worker, with the next number', async () => {
  const { server, a, b } = await two();
  const answer = server.request({}, { maxAttempts: 2 });
  await a.nextRequest();
  await a.die();
  const request = await b.nextRequest();
  expect(request.attempt).toBe(2);
  b.answer(request, 'result', { data: 'second' });
  expect(await answer).toBe('second');
});

test('so does one with an error that is retryable, but not to the same worker while another could take it', async () => {
  const { server, a, b } = await two();
  const answer = server.request({}, { maxAttempts: 3 });
  a.answer(await a.nextRequest(), 'error', { error: { message: 'first', retryable: true } });
  b.answer(await b.nextRequest(), 'error', { error: { message: 'second', retryable: true } });
  const third = await Promise.race([a.nextRequest(), b.nextRequest()]);
  expect(third.attempt).toBe(3);
  for (const worker of [a, b]) worker.answer(third, 'result', { data: 'third' });
  expect(await answer).toBe('third');
});

test('in the end the caller gets the last attempt’s error', async () => {
  const { server, a, b } = await two();
  const answer = rejection(server.request({}, { maxAttempts: 2 }));
  a.answer(await a.nextRequest(), 'error', { error: { message: 'first', retryable: true } });
  b.answer(await b.nextRequest(), 'error', { error: { message: 'second', retryable: true, code: 'X' } });
  expect(await answer).toMatchObject({ message: 'second', attempts: 2, workerId: 'b', data: { code: 'X' } });
});

test.each([[false], ['true'], [1], [undefined]])('retryable: %j is no permission', async (retryable) => {
  const { server, a } = await two();
  const answer = rejection(server.request({}, { maxAttempts: 2 }));
  a.answer(await a.nextRequest(), 'error', { error: { message: 'x', retryable } });
  expect(await answer).toMatchObject({ code: 'WORKER_ERROR', attempts: 1 });
});

test('never once a chunk has arrived', async () => {
  const { server, a } = await two();
  const stream = server.stream({}, { maxAttempts: 3 });
  a.answer(await a.nextRequest(), 'chunk', { seq: 0, data: 'seen' });
  await a.sync();
  await a.die();
  expect(await rejection(stream.result)).toMatchObject({ code: 'WORKER_LOST', attempts: 1 });
});

test('never after TIMEOUT', async () => {
  const { server, a, b } = await two();
  const error = rejection(server.request({}, { maxAttempts: 3, timeoutMs: 20 }));
  await a.nextRequest();
  expect(await error).toMatchObject({ code: 'TIMEOUT', attempts: 1 });
  await b.sync();
  expect(b.frames.some((text) => JSON.parse(text).type === 'request')).toBe(false);
});

test.each([
  ['overflow', 'STREAM_OVERFLOW', { seq: 0, data: 'x'.repeat(200) }],
  ['a wrong seq', 'WORKER_ERROR', { seq: 1 }],
])('never after %s', async (_, code, chunk) => {
  const { server, a, b } = await two({}, { maxStreamBytes: 100 });
  const stream = server.stream({}, { maxAttempts: 3 });
  a.answer(await a.nextRequest(), 'chunk', chunk);
  expect(await rejection(stream.result)).toMatchObject({ code, attempts: 1, workerId: 'a' });
  await b.sync();
  expect(b.frames.some((text) => JSON.parse(text).type === 'request')).toBe(false);
});

test('maxAttempts may be Infinity', async () => {
  const { server, a, b } = await two();
  jest.spyOn(Math, 'random').mockReturnValue(0);
  const answer = server.request({}, { maxAttempts: Infinity });
  for (let attempt = 1; attempt <= 12; attempt += 1) {
    const worker = attempt % 2 === 1 ? a : b;
    const request = await worker.nextRequest();
    expect(request.attempt).toBe(attempt);
    if (attempt < 12) worker.answer(request, 'error', { error: { retryable: true } });
    else worker.answer(request, 'result', { data: attempt });
  }
  expect(await answer).toBe(12);
  jest.restoreAllMocks();
});

test('queueTimeoutMs starts anew with a next attempt', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  server.request('blocker').catch(() => {});
  const blocker = await worker.nextRequest();
  const answer = rejection(server.request('retried', { maxAttempts: 2, queueTimeoutMs: 400 }));
  await new Promise((resolve) => setTimeout(resolve, 250));
  worker.answer(blocker, 'result');
  const first = await worker.nextRequest();
  server.request('next').catch(() => {});
  const again = performance.now();
  worker.answer(first, 'error', { error: { message: 'x', retryable: true } });
  expect((await worker.nextRequest()).payload).toBe('next');
  expect(await answer).toMatchObject({ code: 'QUEUE_TIMEOUT', attempts: 1, started: true });
  // Of the first wait only 150 ms were left.
  expect(performance.now() - again).toBeGreaterThan(300);
});

test('a next attempt for which no worker is left ends with NO_WORKER at once where whenNoWorker is fail', async () => {
  const { server } = await startServer({ queue: { whenNoWorker: 'fail' } });
  const worker = await connectRequestWorker(server);
  const answer = rejection(server.request({}, { maxAttempts: 2, queueTimeoutMs: Infinity }));
  await worker.nextRequest();
  await worker.die();
  const error = await answer;
  expect(error).toMatchObject({ code: 'NO_WORKER', attempts: 1, workerId: 'w', started: true });
  expect(error.message).toMatch(/no workers$/);
  expect(Number.isInteger(error.retryAfterMs) && error.retryAfterMs > 0).toBe(true);
});

test('what an older attempt says is stale, and a heartbeat that names it is answered with superseded', async () => {
  const { server, log, a, b } = await two();
  const answer = server.request({}, { requestId: 'r', maxAttempts: 2 });
  const first = await a.nextRequest();
  a.answer(first, 'error', { error: { message: 'x', retryable: true } });
  const second = await b.nextRequest();
  a.answer(first, 'result', { data: 'old' });
  a.send({ type: 'heartbeat', workerId: 'a', timestamp: '', active: ['r'] });
  expect(await a.next('request_cancel')).toEqual({
    type: 'request_cancel',
    requestId: 'r',
    attempt: 1,
    reason: 'superseded',
  });
  expect(log.contexts('Stale answer from worker')).toEqual([{ workerId: 'a', requestId: 'r', type: 'request_result' }]);
  b.answer(second, 'result', { data: 'new' });
  expect(await answer).toBe('new');
});

test('an attempt that was rejected is an older one, too', async () => {
  const { server, a, b } = await two();
  const answer = server.request({}, { requestId: 'r' });
  a.answer(await a.nextRequest(), 'reject');
  const second = await b.nextRequest();
  a.send({ type: 'heartbeat', workerId: 'a', timestamp: '', active: ['r'] });
  expect(await a.next('request_cancel')).toMatchObject({ attempt: 1, reason: 'superseded' });
  b.answer(second, 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('while it pauses no slot is taken, its id is in use, and an abort ends it at once', async () => {
  const { server, a, b } = await two();
  jest.spyOn(Math, 'random').mockReturnValue(0.999);
  const controller = new AbortController();
  const answer = rejection(server.request({}, { requestId: 'r', maxAttempts: 2, signal: controller.signal }));
  a.answer(await a.nextRequest(), 'error', { error: { message: 'x', retryable: true } });
  await a.sync();
  expect(server.getWorkerInfo().map(({ activeRequests }) => activeRequests)).toEqual([0, 0]);
  expect(await rejection(server.request({}, { requestId: 'r' }))).toMatchObject({ code: 'DUPLICATE_ID' });
  controller.abort('enough');
  expect(await answer).toBe('enough');
  jest.restoreAllMocks();
  await b.sync();
  expect(b.frames.some((text) => JSON.parse(text).type === 'request')).toBe(false);
});

test('while it pauses a stream has no worker, and waits for none', async () => {
  const { server, a, b } = await two();
  jest.spyOn(Math, 'random').mockReturnValue(0.999);
  const stream = server.stream({}, { maxAttempts: 2 });
  a.answer(await a.nextRequest(), 'error', { error: { message: 'x', retryable: true } });
  await a.sync();
  expect([stream.worker, server.getQueueInfo().size]).toEqual([null, 0]);
  const request = await b.nextRequest();
  expect(stream.worker.id).toBe('b');
  b.answer(request, 'result', { data: 1 });
  expect(await stream.result).toBe(1);
  jest.restoreAllMocks();
});
