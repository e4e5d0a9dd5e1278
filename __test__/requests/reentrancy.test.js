'use strict';

// Callbacks and handlers run while the server is in the midst of something, and may call it.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const idsSentTo = (worker) =>
  worker.frames
    .map((text) => JSON.parse(text))
    .filter(({ type }) => type === 'request')
    .map(({ requestId }) => requestId);

/** A request `a` that is about to be rejected, and `b`, which waits for its slot and calls `onStarted` when it gets that. */
async function rejectedInFavour(onStarted, options = {}) {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const a = rejection(server.request('a', { requestId: 'a', ...options }));
  const request = await worker.nextRequest();
  const b = server.request('b', { requestId: 'b', onStarted });
  worker.answer(request, 'reject');
  return { server, log, worker, a, b };
}

test('a rejected request can be aborted by a callback of the one that gets its slot', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const { server, log, worker, a, b } = await rejectedInFavour(() => controller.abort(new Error('late')), { signal });
  expect((await a).message).toBe('late');
  const second = await worker.nextRequest();
  worker.answer(second, 'result', { data: 'done' });
  expect(await b).toBe('done');
  await worker.sync();
  expect(idsSentTo(worker)).toEqual(['a', 'b']);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
  expect(server.getQueueInfo().size).toBe(0);
  expect(log.all('Worker WebSocket error')).toEqual([]);
});

test('a callback of the one that gets a rejected request’s slot can stop the server', async () => {
  let server;
  let stopped;
  const made = await rejectedInFavour(() => {
    stopped = server.stop();
  });
  ({ server } = made);
  expect(await made.a).toMatchObject({ code: 'SERVER_STOPPING' });
  expect(await rejection(made.b)).toMatchObject({ code: 'SERVER_STOPPING' });
  await stopped;
  expect(made.log.all('Worker WebSocket error')).toEqual([]);
});

test.each(['onWorkerConnected', 'onWorkerUpdated'])(
  'no %s handler runs after a callback of the same event has stopped the server',
  async (subscribe) => {
    const { server, log } = await startServer();
    const told = [];
    let stopped;
    const onStarted = () => {
      stopped = server.stop();
    };
    if (subscribe === 'onWorkerConnected') {
      server.onWorkerConnected(({ id }) => told.push(id));
      const answer = rejection(server.request('b', { onStarted }));
      connectRequestWorker(server, 'w').catch(() => {});
      expect(await answer).toMatchObject({ code: 'SERVER_STOPPING' });
    } else {
      server.onWorkerUpdated(({ id }) => told.push(id));
      await connectRequestWorker(server, 'w');
      server.setWorkerStatus('w', 'draining');
      const answer = rejection(server.request('b', { onStarted }));
      expect(told.splice(0)).toEqual(['w']);
      server.setWorkerStatus('w', 'available');
      expect(await answer).toMatchObject({ code: 'SERVER_STOPPING' });
    }
    await stopped;
    expect(told).toEqual([]);
    expect(log.all('Worker WebSocket error')).toEqual([]);
  },
);

test('a callback stops the server while a heartbeat ends several requests at once', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 2 });
  const lost = ['a', 'b'].map((requestId) => rejection(server.request({}, { requestId })));
  for (const request of [await worker.nextRequest(), await worker.nextRequest()]) worker.answer(request, 'ack');
  let stopped;
  const onStarted = () => {
    stopped = server.stop();
  };
  const waiting = rejection(server.request({}, { requestId: 'c', onStarted }));
  for (let beat = 0; beat < 2; beat += 1) {
    worker.send({ type: 'heartbeat', workerId: 'w', timestamp: new Date().toISOString(), active: [] });
  }
  expect((await Promise.all(lost)).map(({ code }) => code)).toEqual(['WORKER_LOST', 'SERVER_STOPPING']);
  expect(await waiting).toMatchObject({ code: 'SERVER_STOPPING' });
  await stopped;
  expect(log.all('Worker WebSocket error')).toEqual([]);
});

test('a request from a disconnected handler goes to another worker, or waits', async () => {
  const { server } = await startServer();
  const answers = [];
  server.onWorkerDisconnected(() => answers.push(server.request({ from: 'the handler' }, { requestId: 'r' })));
  const first = await connectRequestWorker(server, 'first', { slots: 1 });
  await first.close();
  await until(() => answers.length === 1);
  expect(server.getQueueInfo().size).toBe(1);
  const second = await connectRequestWorker(server, 'second', { slots: 1 });
  second.answer(await second.nextRequest(), 'result', { data: 'done' });
  expect(await answers[0]).toBe('done');
});
