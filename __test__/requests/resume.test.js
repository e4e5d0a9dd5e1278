'use strict';

// A worker that comes back within limits.resumeGraceMs goes on with what it has.

const { nextCall, startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const features = ['request', 'resume'];

async function lost({ limits, ...options } = {}, call = 'request') {
  const { server, log } = await startServer({ limits });
  const worker = await connectRequestWorker(server, 'w', { features });
  const made = server[call]({}, { requestId: 'r', ...options });
  const answer = call === 'stream' ? made.result : made;
  answer.catch(() => {});
  const request = await worker.nextRequest();
  worker.answer(request, 'ack');
  return { server, log, worker, answer, request, stream: made, sessionId: worker.ack.sessionId };
}

const comeBack = (server, sessionId, requests, more = {}) =>
  connectRequestWorker(server, 'w', { features, resume: { sessionId, requests }, ...more });

test('a request whose worker comes back goes on as if nothing had been', async () => {
  const { server, worker, answer, request, sessionId } = await lost();
  await worker.die();
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  expect(again.frames[0]).toBe(
    `{"type":"worker_registration_ack","success":true,"sessionId":"${again.ack.sessionId}","heartbeatIntervalMs":15000,` +
      '"features":["request","resume"],"resumed":[{"requestId":"r","attempt":1,"nextSeq":0}],"dropped":[]}',
  );
  expect([...server.getWorkerInfo()[0].pendingRequestIds]).toEqual(['r']);
  again.answer(request, 'result', { data: 'kept' });
  expect(await answer).toBe('kept');
  expect(await again.next('request_settled')).toEqual({ type: 'request_settled', requestId: 'r', attempt: 1 });
});

test('also while the old connection still stands', async () => {
  const { server, worker, answer, request, sessionId } = await lost();
  await worker.sync();
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  expect(again.ack.resumed).toHaveLength(1);
  again.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
  expect((await worker.closed).code).toBe(4003);
});

test('what the old connection still says is stale, or came before', async () => {
  const { server, log, worker, answer, request, sessionId } = await lost();
  await worker.sync();
  const coming = comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  const { ws } = worker;
  while (ws.readyState === ws.OPEN) {
    worker.answer(request, 'progress', { data: 'old' });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const again = await coming;
  expect(again.ack.resumed).toHaveLength(1);
  expect(server.getWorkerInfo().map(({ activeRequests }) => activeRequests)).toEqual([1]);
  again.answer(request, 'result', { data: 'new' });
  expect(await answer).toBe('new');
  expect(log.all('Worker WebSocket error')).toEqual([]);
});

test('a stream goes on from nextSeq', async () => {
  const { server, worker, stream, request, sessionId } = await lost({}, 'stream');
  for (const seq of [0, 1, 2]) worker.answer(request, 'chunk', { seq, data: seq });
  await worker.sync();
  await worker.die();
  await until(() => server.getWorkerCount() === 0);
  expect(stream.worker).toBeNull();
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  expect(again.ack.resumed).toEqual([{ requestId: 'r', attempt: 1, nextSeq: 3 }]);
  for (const seq of [2, 3, 4]) again.answer(request, 'chunk', { seq, data: seq });
  again.answer(request, 'result');
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toEqual([0, 1, 2, 3, 4]);
});

test('slots are counted on the new session before its connected handlers run, beyond its capacity too', async () => {
  const { server, worker, sessionId } = await lost();
  server.request({}, { requestId: 'r2' }).catch(() => {});
  worker.answer(await worker.nextRequest(), 'ack');
  await worker.sync();
  await worker.die();
  const connected = nextCall((handler) =>
    server.onWorkerConnected(({ activeRequests, status }) => handler([activeRequests, status])),
  );
  await comeBack(
    server,
    sessionId,
    ['r', 'r2'].map((requestId) => ({ requestId, attempt: 1, done: false })),
    { slots: 1 },
  );
  expect((await connected)[0]).toEqual([2, 'busy']);
});

test('what it does not name is lost, and what it names and the server does not want is dropped', async () => {
  const { server, worker, answer, sessionId } = await lost();
  await worker.die();
  const again = await comeBack(server, sessionId, [
    { requestId: 'r', attempt: 2, done: false },
    { requestId: 'stranger', attempt: 1, done: true },
  ]);
  expect([again.ack.resumed, again.ack.dropped]).toEqual([[], ['r', 'stranger']]);
  expect(await rejection(answer)).toMatchObject({ code: 'WORKER_LOST' });
  await again.sync();
  expect(again.frames.some((text) => text.includes('request_cancel'))).toBe(false);
});

test.each([
  ['another session id', (sessionId) => ({ resume: { sessionId: sessionId.replace(/^./, 'x'), requests: [] } })],
  ['no session id', () => ({})],
])('a registration with %s ends the wait', async (_, registration) => {
  const { server, worker, answer, sessionId } = await lost();
  await worker.die();
  await connectRequestWorker(server, 'w', { features, ...registration(sessionId) });
  expect(await rejection(answer)).toMatchObject({ code: 'WORKER_LOST' });
});

test('a stranger cannot resume another worker’s session', async () => {
  const { server, worker, answer, request, sessionId } = await lost();
  await worker.die();
  const thief = await connectRequestWorker(server, 'thief', {
    features,
    resume: { sessionId, requests: [{ requestId: 'r', attempt: 1, done: true }] },
  });
  expect([thief.ack.resumed, thief.ack.dropped]).toEqual([[], ['r']]);
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  again.answer(request, 'result', { data: 'mine' });
  expect(await answer).toBe('mine');
});

test('a session resumes once', async () => {
  const { server, worker, answer, sessionId } = await lost();
  await worker.die();
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  await again.die();
  const third = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  expect([third.ack.resumed, third.ack.dropped]).toEqual([[], ['r']]);
  expect(await rejection(answer)).toMatchObject({ code: 'WORKER_LOST' });
});

test('who does not come back within limits.resumeGraceMs has lost its requests', async () => {
  const { worker, answer } = await lost({ limits: { resumeGraceMs: 30 } });
  await worker.die();
  expect(await rejection(answer)).toMatchObject({ code: 'WORKER_LOST', started: true });
});

test('a close frame 1000 of its own is no loss that is waited for', async () => {
  const { server, worker, answer } = await lost();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close(1000);
  await left;
  expect(await rejection(answer)).toMatchObject({ code: 'WORKER_LOST' });
});

test('timers and aborts go on while it is away, and what was aborted is dropped when it comes back', async () => {
  const controller = new AbortController();
  const { server, worker, answer, sessionId } = await lost({ signal: controller.signal });
  await worker.die();
  await until(() => server.getWorkerCount() === 0);
  controller.abort('enough');
  await expect(answer).rejects.toBe('enough');
  const again = await comeBack(server, sessionId, [{ requestId: 'r', attempt: 1, done: false }]);
  expect(again.ack.dropped).toEqual(['r']);
});

test('a worker without the feature resume is not waited for', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = rejection(server.request({}));
  await worker.nextRequest();
  await worker.die();
  expect(await answer).toMatchObject({ code: 'WORKER_LOST' });
});

test('every result and error is answered by request_settled, stale or not', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { features });
  worker.send({ type: 'request_result', requestId: 'old', attempt: 3 });
  worker.send({ type: 'request_error', requestId: 'older', attempt: 1, error: {} });
  expect(await worker.next('request_settled')).toEqual({ type: 'request_settled', requestId: 'old', attempt: 3 });
  expect(await worker.next('request_settled')).toEqual({ type: 'request_settled', requestId: 'older', attempt: 1 });
});
