'use strict';

// What becomes of the requests of a worker that comes back: time, ends that are ready, and events.

let mockAheadMs = 0;
jest.mock('../../lib/time/clock.js', () => {
  const clock = jest.requireActual('../../lib/time/clock.js');
  return { ...clock, now: () => clock.now() + mockAheadMs };
});

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const features = ['request', 'resume'];

/** A worker that has acknowledged the request `r`, and was cut off; `comeBack` registers it anew with what it names. */
async function cutOff(options = {}) {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { features });
  const answer = server.request({}, { requestId: 'r', ...options });
  answer.catch(() => {});
  const request = await worker.nextRequest();
  worker.answer(request, 'ack');
  await worker.sync();
  await worker.die();
  await until(() => server.getWorkerCount() === 0);
  const { sessionId } = worker.ack;
  const comeBack = (requests) => connectRequestWorker(server, 'w', { features, resume: { sessionId, requests } });
  return { server, answer, request, comeBack };
}

/** Moves the server's clock on, and has it look at what is due by then. */
async function passTime(server, ms) {
  // The timer for all that is due is set for this, so that it fires at once.
  const looked = rejection(server.request({}, { workerId: 'nobody', queueTimeoutMs: 1 }));
  mockAheadMs += ms;
  await looked;
}

afterEach(() => {
  mockAheadMs = 0;
});

test('one that is named as done, and whose end has not come within 10 s, is lost', async () => {
  const { server, answer, comeBack } = await cutOff();
  const again = await comeBack([{ requestId: 'r', attempt: 1, done: true }]);
  let isOver = false;
  const error = rejection(answer).finally(() => {
    isOver = true;
  });
  await passTime(server, 9_000);
  // Alive it is, but that is no end.
  again.send({ type: 'heartbeat', workerId: 'w', timestamp: '', active: ['r'] });
  await again.next('heartbeat_ack');
  expect(isOver).toBe(false);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  await passTime(server, 1_100);
  expect(await error).toMatchObject({ code: 'WORKER_LOST', attempts: 1, workerId: 'w', started: true });
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test('one that is named as done ends with the result that was ready', async () => {
  const { server, answer, request, comeBack } = await cutOff();
  const again = await comeBack([{ requestId: 'r', attempt: 1, done: true }]);
  again.answer(request, 'result', { data: 'ready' });
  expect(await answer).toBe('ready');
  await passTime(server, 20_000);
  expect(server.getWorkerInfo()[0]).toMatchObject({ activeRequests: 0, completedRequests: 1 });
});

test('one that is not done may take longer than 10 s', async () => {
  const { server, answer, request, comeBack } = await cutOff();
  const again = await comeBack([{ requestId: 'r', attempt: 1, done: false }]);
  await passTime(server, 60_000);
  again.answer(request, 'result', { data: 'late' });
  expect(await answer).toBe('late');
});

test('idleTimeoutMs stands still while a resume is waited for, and begins anew after it', async () => {
  const { server, answer, comeBack } = await cutOff({ idleTimeoutMs: 5_000 });
  const error = rejection(answer);
  await passTime(server, 8_000);
  const again = await comeBack([{ requestId: 'r', attempt: 1, done: false }]);
  expect(again.ack.resumed).toHaveLength(1);
  await passTime(server, 4_000);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  await passTime(server, 2_000);
  expect(await error).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('5000 ms') });
  expect((await again.next('request_cancel')).reason).toBe('timeout');
});

test('timeoutMs goes on while a resume is waited for', async () => {
  const { server, answer } = await cutOff({ timeoutMs: 5_000 });
  const error = rejection(answer);
  await passTime(server, 6_000);
  expect(await error).toMatchObject({ code: 'TIMEOUT', attempts: 1, started: true });
});

test('who does not come back within 10 s, the default of limits.resumeGraceMs, has lost its requests', async () => {
  const { server, answer } = await cutOff();
  const error = rejection(answer);
  await passTime(server, 9_000);
  expect(await rejection(server.request({}, { requestId: 'r' }))).toMatchObject({ code: 'DUPLICATE_ID' });
  await passTime(server, 1_100);
  expect(await error).toMatchObject({ code: 'WORKER_LOST' });
});

test('a lost attempt that goes on elsewhere is dropped when a resume names it', async () => {
  const { server, answer, comeBack } = await cutOff({ maxAttempts: 2 });
  const other = await connectRequestWorker(server, 'other', { features });
  await passTime(server, 10_100);
  const second = await other.nextRequest();
  expect(second.attempt).toBe(2);
  const again = await comeBack([{ requestId: 'r', attempt: 1, done: true }]);
  expect([again.ack.resumed, again.ack.dropped]).toEqual([[], ['r']]);
  other.answer(second, 'result', { data: 'elsewhere' });
  expect(await answer).toBe('elsewhere');
});

test('resumed and dropped are both in the ack of a registration that names a session, and in no other', async () => {
  const { server, comeBack } = await cutOff();
  const again = await comeBack([]);
  expect(again.frames[0]).toMatch(/,"features":\["request","resume"\],"resumed":\[\],"dropped":\[\]\}$/);
  const plain = await connectRequestWorker(server, 'plain', { features });
  expect(plain.frames[0]).toMatch(/,"features":\["request","resume"\]\}$/);
});

test('the events of a worker that resumes are those of any other', async () => {
  const { server } = await startServer();
  const events = [];
  server.onWorkerConnected(({ sessionId }) => events.push(['connected', sessionId]));
  server.onWorkerDisconnected(({ sessionId }, pending) => events.push(['disconnected', sessionId, [...pending]]));
  const worker = await connectRequestWorker(server, 'w', { features });
  server.request({}, { requestId: 'r' }).catch(() => {});
  server.trackRequest('w', 'own');
  await worker.nextRequest();
  await worker.die();
  await until(() => events.length === 2);
  const { sessionId } = worker.ack;
  const requests = [{ requestId: 'r', attempt: 1, done: false }];
  const again = await connectRequestWorker(server, 'w', { features, resume: { sessionId, requests } });
  expect(events).toEqual([
    ['connected', sessionId],
    ['disconnected', sessionId, ['own']],
    ['connected', again.ack.sessionId],
  ]);
});
