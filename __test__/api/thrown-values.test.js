'use strict';

// A handler may throw anything: it is logged, the other handlers run, and so do those of all later events.

const { ConnectionHandler, WorkerPool } = require('../../index.js');
const { EventEmitter } = require('node:events');
const { describeError } = require('../../lib/workers/handlers.js');
const { request, answering } = require('../support/http.js');
const { recordingLogger } = require('../support/logger.js');
const { nextCall, startServer } = require('../support/server.js');
const { openSocket } = require('../support/socket.js');
const { THROWN, revoked, throwing } = require('../support/thrown.js');
const { connectWorker, registrationOf } = require('../support/worker.js');

const WAYS = [
  [
    'throws',
    (make) => () => {
      throw make();
    },
  ],
  [
    'rejects with',
    (make) => async () => {
      throw make();
    },
  ],
  ['returns a thenable that rejects with', (make) => () => ({ then: (_, reject) => reject(make()) })],
  [
    'returns a thenable whose then throws',
    (make) => () => ({
      then() {
        throw make();
      },
    }),
  ],
  [
    'returns an object whose then can not be read for',
    (make) => () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw make();
        },
      }),
  ],
];

describe.each(WAYS)('a handler that %s', (_, handlerOf) => {
  test.each(THROWN)('%s is logged, and everything goes on', async (_name, make) => {
    const { server, log, port } = await startServer();
    const handler = handlerOf(make);
    const called = [];
    server.onWorkerConnected(handler);
    server.onWorkerConnected(() => called.push('connected'));
    server.onWorkerMessage('x', handler);
    server.onWorkerMessage('x', () => called.push('message'));
    server.onWorkerDisconnected(handler);
    server.onWorkerDisconnected(() => called.push('disconnected'));
    server.addHttpHandler(handler);
    server.addHttpHandler(answering('fine'));
    server.addWebSocketEndpoint('/endpoint', handler);

    const worker = await connectWorker(server, 'w');
    worker.send({ type: 'x' });
    await worker.sync();
    const gone = nextCall((late) => server.onWorkerDisconnected(late));
    await worker.close();
    await gone;
    expect(called).toEqual(['connected', 'message', 'disconnected']);
    expect((await request(port)).text).toBe('fine');
    const socket = await openSocket(port, '/endpoint');
    socket.ws.close();

    const error = expect.any(String);
    expect(await log.line('Error in connected handler')).toMatchObject({ level: 'error', context: { error } });
    expect(await log.line('Error in message handler')).toMatchObject({ level: 'error', context: { type: 'x', error } });
    expect(await log.line('Error in disconnected handler')).toMatchObject({ level: 'error', context: { error } });
    expect(await log.line('HTTP handler error')).toMatchObject({ level: 'error', context: { error, url: '/' } });
    expect(await log.line('WebSocket server error')).toMatchObject({
      level: 'error',
      context: { path: '/endpoint', error },
    });
    await server.stop();
  });
});

test('a handler that returns a revoked proxy is logged like one that throws', async () => {
  const { server, log } = await startServer();
  server.onWorkerMessage('x', () => revoked({}));
  const worker = await connectWorker(server, 'w');
  worker.send({ type: 'x' });
  await worker.sync();
  expect(log.contexts('Error in message handler')).toEqual([{ type: 'x', error: expect.stringContaining('revoked') }]);
});

test.each(THROWN)('%s: what is said of it is text', (_, make) => {
  expect(describeError(make())).toEqual(expect.any(String));
});

test('what is said of an error is its message, of anything else its text', () => {
  expect(describeError(new RangeError('too far'))).toBe('too far');
  expect(describeError({ message: 'of another realm' })).toBe('of another realm');
  expect(describeError('just text')).toBe('just text');
  expect(describeError(undefined)).toBe('undefined');
  expect(describeError(Object.create(null))).toBe('[Object: null prototype] {}');
});

test.each(THROWN)('a ConnectionHandler whose handler or socket throws %s goes on', (_, make) => {
  const log = recordingLogger();
  const handler = new ConnectionHandler(
    new WorkerPool(log),
    { heartbeatTimeoutMs: 1000, heartbeatIntervalMs: 500 },
    log,
  );
  const called = [];
  handler.onMessage('x', () => {
    throw make();
  });
  handler.onMessage('x', () => called.push('message'));
  const socket = Object.assign(new EventEmitter(), {
    readyState: 1,
    close() {},
    send: () => {
      throw make();
    },
  });
  handler.handleConnection(socket);
  socket.emit('message', JSON.stringify(registrationOf('w')));
  socket.emit('message', '{"type":"x"}');
  socket.emit('error', make());
  expect(called).toEqual(['message']);
  expect(log.contexts('Error in message handler')).toEqual([{ type: 'x', error: expect.any(String) }]);
  expect(log.contexts('Worker WebSocket error')).toEqual([
    { error: expect.any(String) },
    { error: expect.any(String) },
  ]);
});

test('what the socket of a ConnectionHandler passes that can not be read ends neither the process nor the conversation', () => {
  const log = recordingLogger();
  const handler = new ConnectionHandler(new WorkerPool(), { heartbeatTimeoutMs: 1000, heartbeatIntervalMs: 500 }, log);
  const called = [];
  handler.onMessage('x', (worker) => called.push(worker.id));
  const socket = Object.assign(new EventEmitter(), { readyState: 1, close() {}, send() {} });
  handler.handleConnection(socket);
  socket.emit('message', throwing(Object.create(null), Symbol.toPrimitive));
  socket.emit('message', '{"type":"x"}');
  expect(log.all('Worker WebSocket error')).toHaveLength(1);
  expect(called).toEqual(['unknown']);
});
