'use strict';

// Abort, timeout, idle: the caller is rejected at once, and the slot stays taken until the worker confirms.

const { getEventListeners } = require('node:events');
const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const active = (server) => server.getWorkerInfo()[0].activeRequests;

async function running(options = {}, limits = {}) {
  const { server, log } = await startServer({ limits });
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const controller = new AbortController();
  const answer = rejection(server.request({}, { requestId: 'r', signal: controller.signal, ...options }));
  const request = await worker.nextRequest();
  return { server, log, worker, controller, answer, request };
}

test('an abort rejects with the signal’s reason, sends the worker a cancel, and holds the slot', async () => {
  const { server, worker, controller, answer } = await running();
  const reason = new Error('gone');
  controller.abort(reason);
  expect(await answer).toBe(reason);
  expect(await worker.next('request_cancel')).toEqual({
    type: 'request_cancel',
    requestId: 'r',
    attempt: 1,
    reason: 'aborted',
  });
  expect(worker.frames.at(-1)).toBe('{"type":"request_cancel","requestId":"r","attempt":1,"reason":"aborted"}');
  expect(active(server)).toBe(1);
  expect(await rejection(server.request({}, { requestId: 'r' }))).toMatchObject({ code: 'DUPLICATE_ID' });
});

test.each(['result', 'error', 'reject'])(
  'a %s of the worker confirms: the slot is free, and nothing is logged or counted',
  async (type) => {
    const { server, log, worker, controller, answer, request } = await running();
    controller.abort();
    await answer;
    worker.answer(request, 'progress', { data: 1 });
    worker.answer(request, type, { error: { message: 'cancelled' } });
    await worker.sync();
    expect(active(server)).toBe(0);
    expect(server.getWorkerInfo()[0].completedRequests).toBe(0);
    expect(log.contexts('Stale answer from worker')).toEqual([]);
  },
);

test('a slot that nobody confirms is free after limits.cancelGraceMs, with a warning', async () => {
  const { server, log, controller, answer } = await running({}, { cancelGraceMs: 20 });
  controller.abort();
  await answer;
  await log.line('Worker did not confirm cancellation');
  expect(log.contexts('Worker did not confirm cancellation')).toEqual([{ workerId: 'w', requestId: 'r' }]);
  expect(active(server)).toBe(0);
});

test('a worker that never confirms fills no log', async () => {
  const { server, log } = await startServer({ limits: { cancelGraceMs: 0 } });
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  for (let count = 0; count < 2_000; count += 1) {
    const controller = new AbortController();
    const answer = server.request({}, { signal: controller.signal });
    controller.abort();
    await expect(answer).rejects.toBe(controller.signal.reason);
  }
  await worker.sync();
  const lines = log.contexts('Worker did not confirm cancellation').length;
  expect(lines).toBeGreaterThan(0);
  expect(lines).toBeLessThan(1_000);
});

test('with limits.cancelGraceMs 0 it is free at once', async () => {
  const { server, controller, answer } = await running({}, { cancelGraceMs: 0 });
  controller.abort();
  expect(active(server)).toBe(0);
  await answer;
});

test('the end of the session frees it, too, and what waits gets the next worker', async () => {
  const { server, worker, controller, answer } = await running();
  controller.abort();
  await answer;
  await worker.die();
  await until(() => server.getWorkerCount() === 0);
  const next = server.request({}, { requestId: 'r' });
  const other = await connectRequestWorker(server, 'other');
  other.answer(await other.nextRequest(), 'result', { data: 1 });
  expect(await next).toBe(1);
});

test('timeoutMs ends in TIMEOUT, and the worker is sent a cancel', async () => {
  const { worker, answer } = await running({ timeoutMs: 30 });
  expect(await answer).toMatchObject({ code: 'TIMEOUT', attempts: 1, started: true, workerId: 'w' });
  expect((await worker.next('request_cancel')).reason).toBe('timeout');
});

test('idleTimeoutMs ends in TIMEOUT when the worker says nothing about the request, and starts again with each message', async () => {
  const { worker, answer, request } = await running({ idleTimeoutMs: 60 });
  let isOver = false;
  answer.then(() => {
    isOver = true;
  });
  for (let count = 0; count < 10; count += 1) {
    worker.answer(request, 'progress');
    worker.send({ type: 'heartbeat', workerId: 'w', timestamp: '' });
    await worker.sync();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(isOver).toBe(false);
  expect(await answer).toMatchObject({ code: 'TIMEOUT', started: true });
});

test('heartbeats that name the request do not count for idleTimeoutMs', async () => {
  const { worker, answer, request } = await running({ idleTimeoutMs: 60 });
  worker.answer(request, 'ack');
  const beat = () => worker.send({ type: 'heartbeat', workerId: 'w', timestamp: '', active: ['r'] });
  const beats = setInterval(beat, 10);
  expect(await answer).toMatchObject({ code: 'TIMEOUT', started: true, attempts: 1, workerId: 'w' });
  clearInterval(beats);
});

test('what waits leaves at once when it is aborted, and nothing is sent', async () => {
  const { server, worker, answer, request } = await running();
  // It has a result in the end.
  answer.catch(() => {});
  const controller = new AbortController();
  const waiting = rejection(server.request({}, { requestId: 'waiting', signal: controller.signal }));
  expect(server.getQueueInfo().size).toBe(1);
  controller.abort('enough');
  expect(server.getQueueInfo()).toMatchObject({ size: 0, bytes: 0, oldestMs: 0 });
  expect(await waiting).toBe('enough');
  worker.answer(request, 'result');
  await worker.sync();
  expect(worker.frames.some((text) => text.includes('waiting'))).toBe(false);
});

test('requests that share a signal leave together: with limits.cancelGraceMs 0 none gets the slot of another', async () => {
  const { server } = await startServer({ limits: { cancelGraceMs: 0 } });
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const controller = new AbortController();
  const started = [];
  const answers = Array.from({ length: 5 }, (_, number) => {
    const options = { signal: controller.signal, onStarted: () => started.push(number) };
    return rejection(server.request({ number }, options));
  });
  const other = server.request({ number: 'other' });
  controller.abort();
  await Promise.all(answers);
  expect(started).toEqual([0]);
  expect((await worker.nextRequest()).payload).toEqual({ number: 0 });
  const request = await worker.nextRequest();
  expect(request.payload).toEqual({ number: 'other' });
  worker.answer(request, 'result', { data: 1 });
  expect(await other).toBe(1);
});

test('one listener is on a signal however many requests share it, and none once they are settled', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 5 });
  const { signal } = new AbortController();
  const answers = Array.from({ length: 20 }, () => server.request({}, { signal }));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (let count = 0; count < 20; count += 1) worker.answer(await worker.nextRequest(), 'result');
  await Promise.all(answers);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('of result and abort the first to be handled wins', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const controller = new AbortController();
  const answer = server.request({}, { signal: controller.signal });
  worker.answer(await worker.nextRequest(), 'result', { data: 'done' });
  await until(() => active(server) === 0);
  controller.abort();
  expect(await answer).toBe('done');
});

test('what came before a deadline counts, even if JavaScript was busy at both moments', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 2 });
  const answers = [server.request({}, { timeoutMs: 150 }), server.request({}, { idleTimeoutMs: 150 })];
  const requests = [await worker.nextRequest(), await worker.nextRequest()];
  for (const request of requests) worker.answer(request, 'result', { data: 'in time' });
  // The bytes are on their way; this thread sees them long after both deadlines.
  await new Promise((resolve) => worker.ws._socket.write('', resolve));
  for (const end = performance.now() + 400; performance.now() < end;);
  expect(await Promise.all(answers)).toEqual(['in time', 'in time']);
});
