'use strict';

// One request on one worker: its slot, its callbacks, what the worker says, and its end.

const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const info = (server) => {
  const [{ status, activeRequests, completedRequests, pendingRequestIds }] = server.getWorkerInfo();
  return [status, activeRequests, completedRequests, [...pendingRequestIds]];
};

test('a request takes its slot in the tick of the call, and gives it back with the result', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1, limits: { c: 1 } });
  const answer = server.request({}, { requestId: 'r', category: 'c' });
  expect(info(server)).toEqual(['busy', 1, 0, ['r']]);
  expect(server.getWorkerInfo()[0].categoryActiveRequests.get('c')).toBe(1);
  expect(server.getAvailableWorker('m')).toBeNull();
  worker.answer(await worker.nextRequest(), 'result', { data: { text: 'hi' } });
  expect(await answer).toEqual({ text: 'hi' });
  expect(info(server)).toEqual(['available', 0, 1, []]);
  expect(server.getWorkerInfo()[0].categoryActiveRequests.get('c')).toBe(0);
});

test('onStarted runs before request returns, with the worker as it is then and the number of the sending', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server);
  const started = [];
  server
    .request({}, { onStarted: ({ id, activeRequests }, attempt) => started.push([id, activeRequests, attempt]) })
    .catch(() => {});
  expect(started).toEqual([['w', 1, 1]]);
});

test('progress reaches the caller in order, before the result, and none after it', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const seen = [];
  const answer = server.request({}, { onProgress: (data) => seen.push(data) });
  const request = await worker.nextRequest();
  for (const data of [1, { half: true }, undefined]) worker.answer(request, 'progress', { data });
  worker.answer(request, 'result', { data: 'done' });
  worker.answer(request, 'progress', { data: 'late' });
  expect(await answer).toBe('done');
  await worker.sync();
  expect(seen).toEqual([1, { half: true }, undefined]);
});

test('a callback that throws or rejects is logged, and touches nothing else', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = server.request(
    {},
    {
      requestId: 'r',
      onStarted: () => {
        throw new Error('no start');
      },
      onProgress: async () => Promise.reject(new Error('no progress')),
    },
  );
  const request = await worker.nextRequest();
  worker.answer(request, 'progress');
  worker.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
  await log.line('Error in request callback', ({ callback }) => callback === 'onProgress');
  expect(log.contexts('Error in request callback')).toEqual([
    { requestId: 'r', callback: 'onStarted', error: 'no start' },
    { requestId: 'r', callback: 'onProgress', error: 'no progress' },
  ]);
});

test.each([
  [{ message: 'out of memory', code: 'OOM', data: { free: 0 } }, 'out of memory'],
  ['just text', 'Worker reported an error'],
  [null, 'Worker reported an error'],
  [{ message: 7 }, 'Worker reported an error'],
])('an error of the worker, %j, is WORKER_ERROR with what it said, whole', async (error, message) => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = rejection(server.request({}, { requestId: 'r' }));
  worker.answer(await worker.nextRequest(), 'error', { error });
  const thrown = await answer;
  expect(thrown).toBeInstanceOf(Error);
  expect(thrown).toMatchObject({
    name: 'WorkerRequestError',
    code: 'WORKER_ERROR',
    requestId: 'r',
    attempts: 1,
    workerId: 'w',
    started: true,
  });
  expect([thrown.message, thrown.data]).toEqual([message, error]);
  expect(info(server)).toEqual(['available', 0, 0, []]);
});

test('a worker that answers twice, for another attempt, or for another worker’s request, changes nothing', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const other = await connectRequestWorker(server, 'other');
  const answer = server.request({}, { requestId: 'r', workerId: 'w' });
  const request = await worker.nextRequest();
  other.answer(request, 'result', { data: 'stolen' });
  worker.answer({ requestId: 'r', attempt: 2 }, 'result', { data: 'from the future' });
  await Promise.all([other.sync(), worker.sync()]);
  worker.answer(request, 'result', { data: 'right' });
  worker.answer(request, 'result', { data: 'again' });
  expect(await answer).toBe('right');
  await worker.sync();
  expect(log.contexts('Stale answer from worker')).toHaveLength(3);
  expect(server.getWorkerInfo().map(({ activeRequests }) => activeRequests)).toEqual([0, 0]);
});

test('releaseRequest and trackRequest of a request’s id only warn', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = server.request({}, { requestId: 'r' });
  server.releaseRequest('r', { incrementCompleted: true });
  server.trackRequest('w', 'r');
  expect(info(server)).toEqual(['available', 1, 0, ['r']]);
  server.trackRequest('nobody', 'r');
  expect(log.contexts('Request belongs to request()')).toEqual(Array(3).fill({ requestId: 'r' }));
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('a request without a model goes to any worker, the least loaded first', async () => {
  const { server } = await startServer();
  const [a, b] = [
    await connectRequestWorker(server, 'a', { models: [] }),
    await connectRequestWorker(server, 'b', { models: ['x'] }),
  ];
  for (let count = 0; count < 2; count += 1) server.request({}).catch(() => {});
  await Promise.all([a.nextRequest(), b.nextRequest()]);
});

test('workers without the feature take no part', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'plain', { features: null });
  const answer = rejection(server.request({}, { queueTimeoutMs: 20 }));
  expect(await answer).toMatchObject({ code: 'NO_WORKER' });
});
