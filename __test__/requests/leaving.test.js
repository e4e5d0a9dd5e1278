'use strict';

// Workers that leave, and requests that their workers no longer have.

const { nextCall, startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

test('a worker’s requests have left it before its disconnected handlers run', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 4 });
  const answers = [server.request({}), server.request({})].map(rejection);
  server.trackRequest('w', 'own');
  await worker.nextRequest();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.die();
  const [info, ids] = await left;
  expect([info.activeRequests, [...info.pendingRequestIds], [...ids]]).toEqual([1, ['own'], ['own']]);
  expect(log.contexts('Worker disconnected with pending requests')).toEqual([{ workerId: 'w', count: 1 }]);
  for (const answer of answers) expect(await answer).toMatchObject({ code: 'WORKER_LOST' });
});

test('without ids of the application there is no warning', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = rejection(server.request({}));
  await worker.nextRequest();
  await worker.die();
  await answer;
  expect(log.contexts('Worker disconnected with pending requests')).toEqual([]);
});

test('a replacement owes a disconnected event only for the application’s own ids', async () => {
  const { server } = await startServer();
  const disconnected = jest.fn();
  server.onWorkerDisconnected(disconnected);
  await connectRequestWorker(server);
  const answer = rejection(server.request({}));
  await connectRequestWorker(server);
  expect(await answer).toMatchObject({ code: 'WORKER_LOST' });
  expect(disconnected).not.toHaveBeenCalled();
});

/** Sends a heartbeat that names what the worker works on, and waits for its ack. */
async function heartbeat(worker, active) {
  const ack = worker.next('heartbeat_ack');
  worker.send({ type: 'heartbeat', workerId: worker.id, timestamp: '', active });
  await ack;
  await worker.sync();
}

test('an acknowledged request that two heartbeats in a row do not name is lost to its worker', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answer = rejection(server.request({}, { requestId: 'r' }));
  const request = await worker.nextRequest();
  await heartbeat(worker, []);
  await heartbeat(worker, []);
  worker.answer(request, 'ack');
  await heartbeat(worker, []);
  await heartbeat(worker, ['r']);
  await heartbeat(worker, ['x']);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  await heartbeat(worker, []);
  expect(await answer).toMatchObject({ code: 'WORKER_LOST', attempts: 1, workerId: 'w', started: true });
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test.each([
  ['progress', 'request', {}],
  ['chunk', 'stream', { seq: 0 }],
])('%s implies the ack: two heartbeats that do not name the request after it lose it', async (type, call, fields) => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const made = server[call]({});
  const answer = rejection(call === 'stream' ? made.result : made);
  worker.answer(await worker.nextRequest(), type, fields);
  await heartbeat(worker, []);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  await heartbeat(worker, []);
  expect(await answer).toMatchObject({ code: 'WORKER_LOST', started: true });
});

test('the same two heartbeats free the slot of a cancelled one', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const controller = new AbortController();
  const answer = rejection(server.request({}, { requestId: 'r', signal: controller.signal }));
  await worker.nextRequest();
  controller.abort();
  await answer;
  await heartbeat(worker, []);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  await heartbeat(worker, []);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test('a named id that nobody knows gets request_cancel unknown, at most 100 for one heartbeat that names a million', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  server.trackRequest('w', 'own');
  const cancels = async (active) => {
    const before = worker.frames.length;
    await heartbeat(worker, active);
    // What was sent before this has come when this has.
    server.send('w', { type: 'mark' });
    await worker.next('mark');
    return worker.frames.slice(before).filter((text) => text.includes('request_cancel'));
  };
  expect(await cancels(['own', 'stray', 'stray'])).toEqual([
    '{"type":"request_cancel","requestId":"stray","reason":"unknown"}',
  ]);
  expect(await cancels(Array.from({ length: 1_000_000 }, (_, number) => `n${number}`))).toHaveLength(100);
});

test.each([[undefined], ['r'], [[7]], [{}], [null]])('active: %j counts for nothing', async (active) => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  server.request({}, { requestId: 'r' }).catch(() => {});
  worker.answer(await worker.nextRequest(), 'ack');
  for (let count = 0; count < 3; count += 1) await heartbeat(worker, active);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
});

test('active counts only on the connection of the worker that it names', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const other = await connectRequestWorker(server, 'other', { slots: 1 });
  server.request({}, { requestId: 'r', workerId: 'w' }).catch(() => {});
  worker.answer(await worker.nextRequest(), 'ack');
  for (let count = 0; count < 3; count += 1) {
    other.send({ type: 'heartbeat', workerId: 'w', timestamp: '', active: [] });
    await other.next('heartbeat_ack');
  }
  await other.sync();
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
});

test('every message of a worker with the feature counts as a heartbeat: one that streams is not dead', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 150, healthCheckIntervalMs: 20 });
  const worker = await connectRequestWorker(server);
  const stream = server.stream({});
  const request = await worker.nextRequest();
  for (let seq = 0; seq < 30; seq += 1) {
    worker.answer(request, 'chunk', { seq });
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(log.contexts('Worker heartbeat timeout')).toEqual([]);
  expect(server.getWorkerInfo()[0].status).toBe('available');
});

test('stop rejects what waits and what runs before it returns, and sends workers a cancel before the close frame', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answers = [server.request({}, { requestId: 'runs' }), server.request({}, { requestId: 'waits' })].map(
    rejection,
  );
  await worker.nextRequest();
  let settled = 0;
  answers.forEach((answer) => answer.then(() => (settled += 1)));
  const stopped = server.stop();
  // Every reaction to what is settled by now has run before the next tick, and no I/O has.
  await new Promise((resolve) => process.nextTick(resolve));
  expect(settled).toBe(2);
  for (const answer of answers) expect(await answer).toMatchObject({ code: 'SERVER_STOPPING' });
  expect(await worker.next('request_cancel')).toEqual({
    type: 'request_cancel',
    requestId: 'runs',
    attempt: 1,
    reason: 'stopping',
  });
  expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
  await stopped;
  expect(await rejection(server.request({}))).toMatchObject({ code: 'SERVER_STOPPING', started: false });
  await server.start();
  expect(server.getQueueInfo()).toEqual({ size: 0, bytes: 0, oldestMs: 0, byModel: {} });
});
