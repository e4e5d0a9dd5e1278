'use strict';

// Fleets that stay as they are: workers of 1.0.12 take part by the types that they speak.

const { createServer, nextCall, startServer } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const requestTypes = {
  request: 'work_request',
  result: 'work_complete',
  error: 'work_failed',
  chunk: ['token', 'tokens'],
};

async function legacy(options = {}, slots = 1) {
  const { server, log } = await startServer({ requestTypes, ...options });
  const worker = await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], slots) });
  return { server, log, worker };
}

test('the worker gets the payload’s members beside type and requestId, and not over them', async () => {
  const { server, worker } = await legacy();
  const answer = server.request(
    { prompt: 'hi', type: 'mine', requestId: 'mine', n: 1 },
    { requestId: 'r', model: 'm' },
  );
  await worker.next('work_request');
  expect(worker.frames.at(-1)).toBe('{"type":"work_request","requestId":"r","prompt":"hi","n":1}');
  worker.send({ type: 'work_complete', requestId: 'r', text: 'hello' });
  expect(await answer).toEqual({ type: 'work_complete', requestId: 'r', text: 'hello' });
  expect(server.getWorkerInfo()[0].completedRequests).toBe(1);
});

test('other payloads are not given to such workers', async () => {
  const { server } = await legacy();
  for (const payload of ['text', 7, null, [1], undefined]) {
    expect(await rejection(server.request(payload, { queueTimeoutMs: 0 }))).toMatchObject({
      started: false,
      attempts: 0,
    });
  }
  const modern = await connectRequestWorker(server, 'modern');
  const answer = server.request('text');
  modern.answer(await modern.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('an error message is WORKER_ERROR, with its text, whole, and retryable heeded', async () => {
  const { server, worker } = await legacy();
  for (const [message, text] of [
    [{ message: 'no memory' }, 'no memory'],
    [{ error: 'no model' }, 'no model'],
    [{ error: { code: 1 } }, 'Worker reported an error'],
  ]) {
    const answer = rejection(server.request({}, { requestId: 'r' }));
    await worker.next('work_request');
    worker.send({ type: 'work_failed', requestId: 'r', ...message });
    const error = await answer;
    expect(error).toMatchObject({ code: 'WORKER_ERROR', message: text, started: true });
    expect(error.data).toEqual({ type: 'work_failed', requestId: 'r', ...message });
  }
  const answer = server.request({}, { requestId: 'r', maxAttempts: 2 });
  await worker.next('work_request');
  worker.send({ type: 'work_failed', requestId: 'r', retryable: true });
  await worker.next('work_request');
  worker.send({ type: 'work_complete', requestId: 'r' });
  expect((await answer).type).toBe('work_complete');
});

test('chunks reach a stream, whole', async () => {
  const { server, worker } = await legacy();
  const stream = server.stream({}, { requestId: 's' });
  await worker.next('work_request');
  worker.send({ type: 'token', requestId: 's', t: 'a' });
  worker.send({ type: 'tokens', requestId: 's', t: 'b' });
  worker.send({ type: 'work_complete', requestId: 's' });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk.t);
  expect(chunks).toEqual(['a', 'b']);
});

test('a chunk is a sign of life of a request()', async () => {
  const { server, worker } = await legacy();
  const seen = jest.fn();
  server.onWorkerMessage('token', seen);
  let isOver = false;
  const answer = rejection(server.request({}, { requestId: 'r', idleTimeoutMs: 60 })).finally(() => {
    isOver = true;
  });
  await worker.next('work_request');
  for (let count = 0; count < 10; count += 1) {
    worker.send({ type: 'token', requestId: 'r' });
    await worker.sync();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(isOver).toBe(false);
  expect(await answer).toMatchObject({ code: 'TIMEOUT', started: true });
  expect(seen).not.toHaveBeenCalled();
});

test('such messages reach no handler while the slot is held; all others do, and those of other sessions', async () => {
  const { server, worker } = await legacy();
  const other = await connectWorker(server, 'other', { capabilities: capabilitiesOf([], 1) });
  const seen = [];
  server.onWorkerMessage('work_complete', ({ id }, { requestId }) => seen.push([id, requestId]));
  const answer = server.request({}, { requestId: 'r', model: 'm' });
  await worker.next('work_request');
  worker.send({ type: 'work_complete', requestId: 'x' });
  other.send({ type: 'work_complete', requestId: 'r' });
  await Promise.all([worker.sync(), other.sync()]);
  worker.send({ type: 'work_complete', requestId: 'r' });
  await answer;
  worker.send({ type: 'work_complete', requestId: 'r' });
  await worker.sync();
  expect(seen.sort()).toEqual([
    ['other', 'r'],
    ['w', 'r'],
    ['w', 'x'],
  ]);
});

test('without a cancel type the slot is held until the answer, however long the grace', async () => {
  const { server, worker } = await legacy({ limits: { cancelGraceMs: 10 } });
  const controller = new AbortController();
  const answer = rejection(server.request({}, { requestId: 'r', signal: controller.signal }));
  await worker.next('work_request');
  controller.abort();
  await answer;
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  const handled = jest.fn();
  server.onWorkerMessage('work_complete', handled);
  worker.send({ type: 'work_complete', requestId: 'r' });
  await worker.sync();
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
  expect(handled).not.toHaveBeenCalled();
});

test('with one the worker is sent a cancel, and the grace holds', async () => {
  const { server, log, worker } = await legacy({
    requestTypes: { ...requestTypes, cancel: 'work_cancel' },
    limits: { cancelGraceMs: 20 },
  });
  const controller = new AbortController();
  const answer = rejection(server.request({}, { requestId: 'r', signal: controller.signal }));
  await worker.next('work_request');
  controller.abort();
  await answer;
  await worker.next('work_cancel');
  expect(worker.frames.at(-1)).toBe('{"type":"work_cancel","requestId":"r","reason":"aborted"}');
  await log.line('Worker did not confirm cancellation');
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test('a lost worker’s requests end with WORKER_LOST', async () => {
  const { server, worker } = await legacy();
  const answer = rejection(server.request({}));
  await worker.next('work_request');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.die();
  expect([...(await left)[1]]).toEqual([]);
  expect(await answer).toMatchObject({ code: 'WORKER_LOST', started: true });
});

test.each([
  [null, 'options.requestTypes must be an object'],
  [{}, 'options.requestTypes.request must be a string'],
  [{ request: 'a' }, 'options.requestTypes.result must be a string, or a list'],
  [{ request: ['a'], result: 'b' }, 'options.requestTypes.request must be a string'],
  [{ request: 'a', result: [] }, 'options.requestTypes.result must be a string, or a list'],
  [{ request: 'a', result: 'b', cancel: ['c'] }, 'options.requestTypes.cancel must be a string'],
  [{ request: 'heartbeat', result: 'b' }, 'options.requestTypes.request must not be heartbeat'],
  [{ request: 'a', result: 'worker_registration' }, 'options.requestTypes.result must not be worker_registration'],
  [
    { request: 'a', result: 'b', error: 'b' },
    'options.requestTypes.error must not be b, which is options.requestTypes.result already',
  ],
  [
    { request: 'a', result: 'a' },
    'options.requestTypes.result must not be a, which is options.requestTypes.request already',
  ],
])('requestTypes: %j is a TypeError that names the member', (wrong, message) => {
  expect(() => createServer({ requestTypes: wrong })).toThrow(TypeError);
  expect(() => createServer({ requestTypes: wrong })).toThrow(message);
});
