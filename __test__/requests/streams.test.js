'use strict';

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

async function streaming(options = {}, limits = {}) {
  const { server, log } = await startServer({ limits });
  const worker = await connectRequestWorker(server, 'w', { slots: 2 });
  const stream = server.stream({}, { requestId: 'r', ...options });
  const request = await worker.nextRequest();
  return { server, log, worker, stream, request };
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test('chunks come in order, and the result behind them', async () => {
  const { worker, stream, request } = await streaming();
  const chunks = collect(stream);
  for (let seq = 0; seq < 100; seq += 1) worker.answer(request, 'chunk', { seq, data: { token: seq } });
  worker.answer(request, 'result', { data: { tokens: 100 } });
  expect(await chunks).toEqual(Array.from({ length: 100 }, (_, token) => ({ token })));
  expect(await stream.result).toEqual({ tokens: 100 });
});

test('every iterator is the same one', async () => {
  const { stream } = await streaming();
  expect(stream[Symbol.asyncIterator]()).toBe(stream[Symbol.asyncIterator]());
});

test('the result settles, and the slot is free, however much is unread', async () => {
  const { server, worker, stream, request } = await streaming();
  worker.answer(request, 'chunk', { seq: 0, data: 'a' });
  worker.answer(request, 'result', { data: 'end' });
  expect(await stream.result).toBe('end');
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
  expect(await collect(stream)).toEqual(['a']);
});

test('worker is whose it is now; after the end the last one’s', async () => {
  const { server } = await startServer();
  const stream = server.stream({});
  expect(stream.worker).toBeNull();
  const worker = await connectRequestWorker(server);
  const request = await worker.nextRequest();
  expect(stream.worker.id).toBe('w');
  worker.answer(request, 'result');
  await stream.result;
  expect(stream.worker.id).toBe('w');
});

test('a chunk that came before is dropped; one that skips a number ends the request, which is cancelled', async () => {
  const { worker, stream, request } = await streaming();
  const failure = rejection(stream.result);
  for (const seq of [0, 0, 1, 0, 3]) worker.answer(request, 'chunk', { seq, data: seq });
  expect(await failure).toMatchObject({ code: 'WORKER_ERROR', started: true });
  expect((await worker.next('request_cancel')).reason).toBe('aborted');
});

test('leaving the loop cancels: the worker is sent a cancel, and result rejects with an AbortError that is no unhandled one', async () => {
  const { worker, stream, request } = await streaming();
  worker.answer(request, 'chunk', { seq: 0, data: 'a' });
  for await (const chunk of stream) {
    expect(chunk).toBe('a');
    break;
  }
  expect((await worker.next('request_cancel')).reason).toBe('aborted');
  await expect(stream.result).rejects.toMatchObject({ name: 'AbortError' });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
});

test('throw and cancel reject with what they are given', async () => {
  for (const end of ['throw', 'cancel']) {
    const { server, stream } = await streaming();
    const reason = new Error(end);
    if (end === 'throw') await expect(stream.throw(reason)).rejects.toBe(reason);
    else stream.cancel(reason);
    await expect(stream.result).rejects.toBe(reason);
    await server.stop();
  }
});

test('abort, timeout and cancel drop the chunks that nobody has read', async () => {
  for (const end of ['abort', 'timeout', 'cancel']) {
    const controller = new AbortController();
    const { server, worker, stream, request } = await streaming({
      signal: controller.signal,
      timeoutMs: end === 'timeout' ? 50 : Infinity,
    });
    worker.answer(request, 'chunk', { seq: 0, data: 'a' });
    await worker.sync();
    if (end === 'abort') controller.abort();
    if (end === 'cancel') stream.cancel();
    await rejection(stream.result);
    await expect(stream.next()).rejects.toBeDefined();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    await server.stop();
  }
});

test.each([
  ['an error', 'WORKER_ERROR', ({ worker, request }) => worker.answer(request, 'error', { error: { message: 'no' } })],
  ['a loss', 'WORKER_LOST', ({ worker }) => worker.die()],
  ['a skipped number', 'WORKER_ERROR', ({ worker, request }) => worker.answer(request, 'chunk', { seq: 2 })],
  ['a rejection of what had begun', 'WORKER_ERROR', ({ worker, request }) => worker.answer(request, 'reject')],
  ['a stop', 'SERVER_STOPPING', ({ server }) => server.stop()],
])('after %s the reader still gets the chunks that had come, then the error once', async (_name, code, end) => {
  const made = await streaming();
  const { server, worker, stream, request } = made;
  worker.answer(request, 'chunk', { seq: 0, data: 'a' });
  await worker.sync();
  end(made);
  const error = await rejection(stream.result);
  expect(error.code).toBe(code);
  expect(await stream.next()).toEqual({ done: false, value: 'a' });
  await expect(stream.next()).rejects.toBe(error);
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  await server.stop();
});

test('a slow reader costs its own stream only: beyond limits.maxStreamBytes that ends with STREAM_OVERFLOW', async () => {
  const { server, worker, stream, request } = await streaming({}, { maxStreamBytes: 1_000 });
  const other = server.stream({}, { requestId: 'other' });
  const otherRequest = await worker.nextRequest();
  const failure = rejection(stream.result);
  for (let seq = 0; seq < 20; seq += 1) {
    worker.answer(request, 'chunk', { seq, data: 'x'.repeat(100) });
    worker.answer(otherRequest, 'chunk', { seq, data: seq });
    await worker.sync();
    if (seq < 5) expect(await other.next()).toEqual({ done: false, value: seq });
    else other.next().catch(() => {});
  }
  expect(await failure).toMatchObject({ code: 'STREAM_OVERFLOW', requestId: 'r' });
  expect((await worker.next('request_cancel')).requestId).toBe('r');
  worker.answer(otherRequest, 'result', { data: 'end' });
  expect(await other.result).toBe('end');
});

test.each([[1], [2]])(
  'limits.maxStreamBytes counts the bytes of messages that come alone or together, in UTF-8: %d',
  async (count) => {
    for (const [limit, code] of [
      [3_100, undefined],
      [3_000, 'STREAM_OVERFLOW'],
    ]) {
      const { server, worker, stream, request } = await streaming({}, { maxStreamBytes: count * limit });
      for (let seq = 0; seq < count; seq += 1) worker.answer(request, 'chunk', { seq, data: '€'.repeat(1_000) });
      worker.answer(request, 'result', { data: 1 });
      const outcome = await stream.result.then(
        () => undefined,
        (error) => error.code,
      );
      expect(outcome).toBe(code);
      await server.stop();
    }
  },
);

test('request() asks for no stream, and chunks that come all the same only count as life', async () => {
  const { server, worker } = await streaming();
  const answer = server.request({}, { idleTimeoutMs: 100 });
  const request = await worker.nextRequest();
  expect(request.stream).toBe(false);
  for (const seq of [5, 3, 3]) worker.answer(request, 'chunk', { seq, data: seq });
  worker.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('fifty streams at once each get their own chunks', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 50 });
  const streams = Array.from({ length: 50 }, (_, number) => server.stream({ number }));
  const collected = Promise.all(streams.map(collect));
  const requests = [];
  for (let count = 0; count < 50; count += 1) requests.push(await worker.nextRequest());
  for (let seq = 0; seq < 20; seq += 1) {
    for (const request of requests) worker.answer(request, 'chunk', { seq, data: [request.payload.number, seq] });
  }
  for (const request of requests) worker.answer(request, 'result');
  const expected = streams.map((_, number) => Array.from({ length: 20 }, (_chunk, seq) => [number, seq]));
  expect(await collected).toEqual(expected);
  await until(() => server.getWorkerInfo()[0].completedRequests === 50);
});

test('throw() and return() after the end do what those of a finished generator do', async () => {
  const { worker, stream, request } = await streaming();
  worker.answer(request, 'result', { data: 1 });
  expect(await stream.result).toBe(1);
  const error = new Error('late');
  await expect(stream.throw(error)).rejects.toBe(error);
  expect(await stream.return('value')).toEqual({ done: true, value: 'value' });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(await stream.result).toBe(1);
});

test('return() of a stream that waits takes it from the queue, and readers that wait are done', async () => {
  const { server } = await startServer();
  const stream = server.stream({});
  const readers = [stream.next(), stream.next()];
  expect(server.getQueueInfo().size).toBe(1);
  await stream.return();
  expect(server.getQueueInfo().size).toBe(0);
  expect(await Promise.all(readers)).toEqual(Array(2).fill({ done: true, value: undefined }));
  await expect(stream.result).rejects.toMatchObject({ name: 'AbortError' });
});

test('of several readers that wait when a stream fails the first gets the error, the others are done', async () => {
  const { worker, stream, request } = await streaming();
  const readers = [stream.next(), stream.next(), stream.next()].map((next) => next.catch(({ code }) => code));
  worker.answer(request, 'error', { error: {} });
  expect(await Promise.all(readers)).toEqual([
    'WORKER_ERROR',
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});
