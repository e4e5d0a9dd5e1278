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

test('onQueued may abort its request, and stop the server', async () => {
  const { server } = await startServer();
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = rejection(server.request({}, { signal, onQueued: () => controller.abort() }));
  expect(server.getQueueInfo().size).toBe(0);
  expect(await aborted).toBe(signal.reason);
  let stopped;
  const onQueued = () => {
    stopped = server.stop();
  };
  expect(await rejection(server.request({}, { onQueued }))).toMatchObject({ code: 'SERVER_STOPPING', started: false });
  await stopped;
});

test('onStarted may stop the server: the request was sent, and its worker is sent a cancel before the close frame', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  let stopped;
  const onStarted = () => {
    stopped = server.stop();
  };
  const error = await rejection(server.request({}, { onStarted }));
  expect(error).toMatchObject({ code: 'SERVER_STOPPING', started: true, attempts: 1, workerId: 'w' });
  expect((await worker.next('request_cancel')).reason).toBe('stopping');
  await stopped;
});

test('callbacks may make requests, whose callbacks may make requests', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answers = [];
  const ask = (number) => {
    const again = () => number < 5 && ask(number + 1);
    answers.push(server.request(number, { onStarted: again }));
  };
  ask(1);
  for (let number = 1; number <= 5; number += 1) {
    const request = await worker.nextRequest();
    expect(request.payload).toBe(number);
    worker.answer(request, 'result', { data: number });
  }
  expect(await Promise.all(answers)).toHaveLength(5);
  await worker.sync();
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});
