'use strict';

// When the callbacks of a request run, and when they don't.

const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

test('onQueued runs once, however often the request comes back to wait', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  server.request('blocker').catch(() => {});
  const blocker = await worker.nextRequest();
  const [onQueued, onStarted] = [jest.fn(), jest.fn()];
  const answer = server.request('r', { onQueued, onStarted });
  expect(onQueued).toHaveBeenCalledTimes(1);
  worker.answer(blocker, 'result');
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const request = await worker.nextRequest();
    expect(request.attempt).toBe(attempt);
    if (attempt < 3) worker.answer(request, 'reject', { reason: 'busy' });
    else worker.answer(request, 'result', { data: 'done' });
  }
  expect(await answer).toBe('done');
  expect(onQueued).toHaveBeenCalledTimes(1);
  expect(onStarted.mock.calls.map(([{ id }, attempt]) => [id, attempt])).toEqual([
    ['w', 1],
    ['w', 2],
    ['w', 3],
  ]);
});

test('none runs after the caller was settled', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const controller = new AbortController();
  const callbacks = { onQueued: jest.fn(), onStarted: jest.fn(), onProgress: jest.fn() };
  const answer = rejection(server.request({}, { signal: controller.signal, ...callbacks }));
  const request = await worker.nextRequest();
  worker.answer(request, 'progress', { data: 'before' });
  await worker.sync();
  controller.abort();
  worker.answer(request, 'progress', { data: 'after' });
  worker.answer(request, 'reject', { reason: 'busy' });
  await answer;
  await worker.sync();
  expect(callbacks.onProgress.mock.calls).toEqual([['before']]);
  expect(callbacks.onStarted).toHaveBeenCalledTimes(1);
  expect(callbacks.onQueued).not.toHaveBeenCalled();
});

test('each runs in the tick of what it reports, when the state already holds', async () => {
  const { server } = await startServer();
  const seen = [];
  const load = () =>
    server.getWorkerInfo().map(({ activeRequests, pendingRequestIds }) => [activeRequests, ...pendingRequestIds]);
  const answer = server.request(
    {},
    {
      requestId: 'r',
      onQueued: () => seen.push(['queued', server.getQueueInfo().size, load()]),
      onStarted: () => seen.push(['started', server.getQueueInfo().size, load()]),
      onProgress: () => seen.push(['progress', server.getQueueInfo().size, load()]),
    },
  );
  expect(seen).toEqual([['queued', 1, []]]);
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const request = await worker.nextRequest();
  worker.answer(request, 'progress');
  worker.answer(request, 'result');
  await answer;
  expect(seen.slice(1)).toEqual([
    ['started', 0, [[1, 'r']]],
    ['progress', 0, [[1, 'r']]],
  ]);
});

test('an onQueued that throws is logged, and the request waits all the same', async () => {
  const { server, log } = await startServer();
  const onQueued = () => {
    throw new Error('no place');
  };
  const answer = server.request({}, { requestId: 'r', onQueued });
  expect(log.contexts('Error in request callback')).toEqual([
    { requestId: 'r', callback: 'onQueued', error: 'no place' },
  ]);
  const worker = await connectRequestWorker(server);
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('the rejection of a stream’s result is never an unhandled one', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  server.stream({}, { timeoutMs: 0 });
  server.stream({}, { workerId: 'nobody', queueTimeoutMs: 0 });
  server.stream({}).cancel(new Error('left'));
  const failing = server.stream({});
  worker.answer(await worker.nextRequest(), 'error', { error: { message: 'first, of the cancelled one' } });
  worker.answer(await worker.nextRequest(), 'error', { error: { message: 'second' } });
  expect(await rejection(failing.result)).toMatchObject({ message: 'second' });
  // Jest fails a test that leaves a rejection without a handler; Node looks for those after the microtasks of a turn.
  await new Promise(setImmediate);
});
