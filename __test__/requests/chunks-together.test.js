'use strict';

// Chunks that arrive in one piece: each is judged as if it had come alone, whatever stands around it.

const { startServer, until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

async function streaming(options = {}, limits = {}) {
  const { server, log } = await startServer({ limits });
  const worker = await connectRequestWorker(server, 'w', { slots: 4 });
  const stream = server.stream({}, { requestId: 'r', ...options });
  const request = await worker.nextRequest();
  return { server, log, worker, stream, request };
}

/** Has all that `send` sends leave in one piece, so that the server reads it at once. */
function together({ ws }, send) {
  ws._socket.cork();
  send();
  ws._socket.uncork();
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const VALUES = [
  0,
  -1.5e3,
  'text',
  '',
  '"}],',
  null,
  true,
  [],
  [1, [2]],
  {},
  { a: { '}': ']' } },
  { type: 'request_result' },
];

test('every kind of data arrives as it was, also next to what is not ASCII', async () => {
  const { worker, stream, request } = await streaming();
  const data = [...VALUES, 'é', ...VALUES, 'x'.repeat(9_000), ...VALUES];
  const chunks = collect(stream);
  together(worker, () => {
    data.forEach((value, seq) => worker.answer(request, 'chunk', { seq, data: value }));
    worker.answer(request, 'result', { data: 'end' });
  });
  expect(await chunks).toEqual(data);
  expect(await stream.result).toBe('end');
});

test('a thousand at once arrive in order, as do those of streams that take turns', async () => {
  const { server, worker, stream, request } = await streaming();
  const other = server.stream({}, { requestId: 'other' });
  const otherRequest = await worker.nextRequest();
  const [chunks, otherChunks] = [collect(stream), collect(other)];
  together(worker, () => {
    for (let seq = 0; seq < 1_000; seq += 1) {
      worker.answer(request, 'chunk', { seq, data: seq });
      if (seq >= 500) worker.answer(otherRequest, 'chunk', { seq: seq - 500, data: -seq });
    }
    worker.answer(request, 'result');
    worker.answer(otherRequest, 'result');
  });
  expect(await chunks).toEqual(Array.from({ length: 1_000 }, (_, seq) => seq));
  expect(await otherChunks).toEqual(Array.from({ length: 500 }, (_, at) => -500 - at));
});

test.each([
  ['a chunk that came before', (seq) => ({ seq: seq - 1 }), undefined],
  ['one that skips a number', (seq) => ({ seq: seq + 1 }), 'WORKER_ERROR'],
])('among them %s is judged as anywhere', async (_what, change, code) => {
  const { server, worker, stream, request } = await streaming();
  const outcome = stream.result.then(
    () => undefined,
    (error) => error.code,
  );
  const chunks = [];
  const reading = (async () => {
    for await (const chunk of stream) chunks.push(chunk);
  })().catch(() => {});
  together(worker, () => {
    for (let seq = 0; seq < 20; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
    worker.answer(request, 'chunk', { data: 'wrong', ...change(20) });
    worker.answer(request, 'chunk', { seq: 20, data: 20 });
    worker.answer(request, 'result');
  });
  expect(await outcome).toBe(code);
  await reading;
  expect(chunks).toEqual(Array.from({ length: code === undefined ? 21 : 20 }, (_, seq) => seq));
  // A request that was cancelled has its slot until its result has come.
  await until(() => server.getWorkerInfo()[0].activeRequests === 0);
});

test.each([
  [
    'members in another order',
    ({ requestId, attempt }, seq) => ({ requestId, type: 'request_chunk', seq, attempt, data: seq }),
  ],
  ['members beside them', (request, seq) => ({ type: 'request_chunk', ...request, seq, data: seq, more: 1 })],
  ['an id that needs escapes', (request, seq) => ({ type: 'request_chunk', ...request, seq, data: seq }), 'r"\n\\'],
])('chunks with %s are chunks like all others', async (_what, chunkOf, requestId = 'r') => {
  const { worker, stream, request } = await streaming({ requestId });
  const { attempt } = request;
  const chunks = collect(stream);
  together(worker, () => {
    for (let seq = 0; seq < 40; seq += 1) {
      const plain = { type: 'request_chunk', requestId, attempt, seq, data: seq };
      worker.send(seq % 4 === 3 ? chunkOf({ requestId, attempt }, seq) : plain);
    }
    worker.answer(request, 'result');
  });
  expect(await chunks).toEqual(Array.from({ length: 40 }, (_, seq) => seq));
});

test('of a request that is under way no more each is a stale answer', async () => {
  const { server, log, worker, stream, request } = await streaming();
  together(worker, () => {
    worker.answer(request, 'result', { data: 1 });
    for (let seq = 0; seq < 5; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
  });
  await stream.result;
  await worker.sync();
  expect(await collect(stream)).toEqual([]);
  const stale = { workerId: 'w', requestId: 'r', type: 'request_chunk' };
  expect(log.contexts('Stale answer from worker')).toEqual(Array(5).fill(stale));
  expect(server.metrics()).toMatch(/^worker_server_stale_answers_total 5$/m);
});

test('of a request whose caller has gone they are dropped without a line, and its slot is held', async () => {
  const { server, log, worker, stream, request } = await streaming();
  const failure = rejection(stream.result);
  stream.cancel(new Error('enough'));
  await worker.next('request_cancel');
  together(worker, () => {
    for (let seq = 0; seq < 5; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
  });
  await worker.sync();
  expect((await failure).message).toBe('enough');
  expect(log.contexts('Stale answer from worker')).toEqual([]);
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
});

test('they count for limits.maxStreamBytes with the bytes of their whole messages', async () => {
  const bytes = JSON.stringify({ type: 'request_chunk', requestId: 'r', attempt: 1, seq: 0, data: 0 }).length;
  for (const [room, code] of [
    [10 * bytes, undefined],
    [10 * bytes - 1, 'STREAM_OVERFLOW'],
  ]) {
    const { server, worker, stream, request } = await streaming({}, { maxStreamBytes: room });
    const outcome = stream.result.then(
      () => undefined,
      (error) => error.code,
    );
    together(worker, () => {
      for (let seq = 0; seq < 10; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
      worker.answer(request, 'result');
    });
    expect(await outcome).toBe(code);
    await server.stop();
  }
});

test('request() takes them as signs of life', async () => {
  const { server, worker } = await streaming();
  const answer = server.request({}, { requestId: 'other' });
  const request = await worker.nextRequest();
  together(worker, () => {
    for (let seq = 0; seq < 5; seq += 1) worker.answer(request, 'chunk', { seq, data: seq });
    worker.answer(request, 'result', { data: 'end' });
  });
  expect(await answer).toBe('end');
});

test('what a worker without the feature sends under the same type reaches its handlers whole, each message by itself', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  const sent = Array.from({ length: 20 }, (_, seq) => ({
    type: 'request_chunk',
    requestId: 'r',
    attempt: 1,
    seq,
    data: { seq },
  }));
  const seen = [];
  server.onWorkerMessage('request_chunk', (_worker, message) => {
    seen.push({ ...message });
    // What a handler does to its message is no other's business.
    for (const member of Object.keys(message)) message[member] = 'changed';
  });
  together(worker, () => sent.forEach((message) => worker.send(message)));
  await worker.sync();
  expect(seen).toEqual(sent);
});
