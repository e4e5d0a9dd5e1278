'use strict';

// `tracingChannel('worker-server:request')`: what subscribers see of a request, and in which order.

const { AsyncLocalStorage } = require('node:async_hooks');
const { tracingChannel } = require('node:diagnostics_channel');
const { onCleanup } = require('../support/cleanup.js');
const { startProgram } = require('../support/program.js');
const { createServer, startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const CHANNEL = tracingChannel('worker-server:request');
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

/** The events while the test runs, as [name, copy of the context, context]. */
function watch() {
  const events = [];
  const subscribers = Object.fromEntries(
    EVENTS.map((name) => [name, (context) => events.push([name, { ...context }, context])]),
  );
  CHANNEL.subscribe(subscribers);
  onCleanup(() => CHANNEL.unsubscribe(subscribers));
  return events;
}

const names = (events) => events.map(([name]) => name);

test('a request that completes has the events of tracePromise, with one context that is filled as it goes', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w');
  const events = watch();
  const promise = server.request({}, { requestId: 'r', model: 'm', category: 'c' });
  expect(names(events)).toEqual(['start', 'end']);
  worker.answer(await worker.nextRequest(), 'result', { data: 7 });
  expect(await promise).toBe(7);
  expect(names(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  const begun = { server, requestId: 'r', model: 'm', category: 'c', stream: false, attempts: 0, workerId: undefined };
  const [start, end, asyncStart] = events.map(([, copy]) => copy);
  expect(start).toStrictEqual(begun);
  expect(Object.keys(start)).toEqual(Object.keys(begun));
  expect(start.server).toBe(server);
  expect(end).toStrictEqual({ ...begun, attempts: 1, workerId: 'w' });
  expect(asyncStart).toStrictEqual({ ...begun, attempts: 1, workerId: 'w', result: 7 });
  expect(new Set(events.map(([, , context]) => context)).size).toBe(1);
});

test('a stream is one request, whose result is that of the stream', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w');
  const events = watch();
  const stream = server.stream({});
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0, data: 'a' });
  worker.answer(request, 'result', { data: 'b' });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toEqual(['a']);
  expect(await stream.result).toBe('b');
  expect(names(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  expect(events.at(-1)[1]).toMatchObject({ requestId: stream.requestId, stream: true, result: 'b', workerId: 'w' });
});

test('a request that fails has its error before its asynchronous end, and the caller gets the same', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w');
  const events = watch();
  const promise = server.request({});
  worker.answer(await worker.nextRequest(), 'error', { error: { message: 'no' } });
  const error = await rejection(promise);
  expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  expect(events[2][1].error).toBe(error);
  expect(error).toMatchObject({ code: 'WORKER_ERROR', message: 'no' });
});

test.each([
  ['wrong options', { timeoutMs: -1 }, TypeError, { requestId: undefined }],
  [
    'an aborted signal',
    { requestId: 'r', signal: AbortSignal.abort(new RangeError()) },
    RangeError,
    { requestId: 'r' },
  ],
])('a request with %s is seen too', async (_, options, kind, context) => {
  const { server } = await startServer();
  const events = watch();
  const error = await rejection(server.request({}, options));
  expect(error).toBeInstanceOf(kind);
  expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  expect(events[4][1]).toMatchObject({ ...context, server, stream: false, attempts: 0, error });
});

test('a request to a server that does not run is seen too', async () => {
  const { server } = createServer();
  const events = watch();
  expect(await rejection(server.stream({}, { requestId: 'r' }).result)).toMatchObject({ code: 'SERVER_STOPPING' });
  expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  expect(events[0][1]).toMatchObject({ server, requestId: 'r', stream: true });
});

test('attempts and workerId follow the request: a rejected sending does not count, a further attempt does', async () => {
  const { server } = await startServer();
  const a = await connectRequestWorker(server, 'a', { slots: 1 });
  const events = watch();
  const promise = server.request({}, { maxAttempts: 2 });
  const [[, , context]] = events;
  const seen = () => [context.attempts, context.workerId];
  const first = await a.nextRequest();
  expect(seen()).toEqual([1, 'a']);
  const b = await connectRequestWorker(server, 'b', { slots: 1 });
  a.answer(first, 'reject', { reason: 'busy' });
  const second = await b.nextRequest();
  expect(seen()).toEqual([1, 'b']);
  b.answer(second, 'error', { error: { message: 'again', retryable: true } });
  // Which of the two gets it depends on how long the pauses are.
  const [last, third] = await Promise.race([a, b].map(async (one) => [one, await one.nextRequest()]));
  expect(seen()).toEqual([2, last.id]);
  last.answer(third, 'result', { data: 1 });
  await promise;
  expect(events.at(-1)[1]).toMatchObject({ attempts: 2, workerId: last.id, result: 1 });
});

test('a store that is bound to start is there in injectTrace, in callbacks of the call, and when the request ends', async () => {
  const storage = new AsyncLocalStorage();
  CHANNEL.start.bindStore(storage, ({ requestId }) => `span of ${requestId}`);
  onCleanup(() => CHANNEL.start.unbindStore(storage));
  const seen = [];
  const note = (what) => seen.push([what, storage.getStore()]);
  const onEnd = { asyncEnd: () => note('asyncEnd') };
  CHANNEL.subscribe(onEnd);
  onCleanup(() => CHANNEL.unsubscribe(onEnd));
  const { server } = await startServer({ injectTrace: () => note('injectTrace') });
  const worker = await connectRequestWorker(server, 'w');
  const promise = server.request({}, { requestId: 'r', onStarted: () => note('onStarted') });
  worker.answer(await worker.nextRequest(), 'result');
  await promise;
  const span = 'span of r';
  expect(seen).toEqual([
    ['injectTrace', span],
    ['onStarted', span],
    ['asyncEnd', span],
  ]);
  expect(storage.getStore()).toBe(undefined);
});

test('a rejection that nobody looks at is an unhandled one, once, but not that of a stream', async () => {
  const { stdout } = await startProgram('watching/programs/unhandled-rejections.js').exit;
  expect(stdout).toBe('unhandled: of the request\n');
});
