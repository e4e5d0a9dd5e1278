'use strict';

// Each event has an async context of its own, which begins as that of the server's start.

const { AsyncLocalStorage } = require('node:async_hooks');
const { EventEmitter } = require('node:events');
const { ConnectionHandler, WorkerPool } = require('../../index.js');
const { onCleanup } = require('../support/cleanup.js');
const { request } = require('../support/http.js');
const { createServer, nextCall, startServer } = require('../support/server.js');
const { openSocket } = require('../support/socket.js');
const { connectWorker } = require('../support/worker.js');

function storage() {
  const made = new AsyncLocalStorage();
  onCleanup(() => made.disable());
  return made;
}

test('what a handler enters is seen by the other handlers of its event, and by what follows from it', async () => {
  const als = storage();
  const { server } = await startServer();
  const seen = [];
  server.onWorkerMessage('x', async (worker, { n }) => {
    als.enterWith(n);
    await null;
    seen.push(['awaited', n, als.getStore()]);
    setImmediate(() => seen.push(['later', n, als.getStore()]));
  });
  server.onWorkerMessage('x', (worker, { n }) => seen.push(['beside', n, als.getStore()]));
  const worker = await connectWorker(server, 'w');
  for (let n = 0; n < 100; n += 1) worker.send({ type: 'x', n });
  await worker.sync();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  for (const what of ['awaited', 'beside', 'later']) {
    const of = seen.filter(([name]) => name === what);
    expect(of.map(([, n]) => n)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(of.filter(([, n, store]) => store !== n)).toEqual([]);
  }
});

test('what handlers enter is seen by no other event, in the same turn or later, nor by HTTP requests and endpoints', async () => {
  const als = storage();
  const leaks = [];
  const look = (what) => {
    const store = als.getStore();
    if (store !== undefined) leaks.push([what, store]);
  };
  const logger = { debug: () => look('debug line'), info() {}, warn() {}, error() {} };
  const { server } = await startServer({ logger });
  server.onWorkerConnected(({ id }) => {
    look('connected');
    als.enterWith(`connected ${id}`);
  });
  server.onWorkerDisconnected(({ id }) => {
    look('disconnected');
    als.enterWith(`disconnected ${id}`);
  });
  let messages = 0;
  server.onWorkerMessage('x', ({ id }, { n }) => {
    look('message');
    messages += 1;
    if (n % 7 === 0) als.enterWith(`message ${id}`);
    if (n % 7 === 3) als.run('within', () => als.enterWith('deeper'));
  });
  server.addHttpHandler((req, res) => {
    look('request');
    res.end('fine');
    return true;
  });
  server.addWebSocketEndpoint('/x', (ws) => {
    look('endpoint');
    ws.on('message', () => {
      look('endpoint message');
      ws.send('"heard"');
    });
  });
  const workers = await Promise.all(['a', 'b', 'c', 'd'].map((id) => connectWorker(server, id)));
  for (let n = 0; n < 250; n += 1) {
    for (const worker of workers) worker.send({ type: 'x', n });
    if (n % 50 === 0) await request(server.port);
  }
  await Promise.all(workers.map((worker) => worker.sync()));
  const socket = await openSocket(server.port, '/x');
  socket.ws.send('"hello"');
  await socket.next();
  for (const worker of workers.slice(1)) {
    const gone = nextCall((handler) => server.onWorkerDisconnected(handler));
    await worker.close();
    await gone;
  }
  await request(server.port);
  expect(messages).toBe(1000);
  expect(leaks).toEqual([]);
});

test('the end of a session that is replaced and the beginning of the next are two events', async () => {
  const als = storage();
  const { server } = await startServer();
  const seen = [];
  server.onWorkerDisconnected(() => {
    seen.push(['disconnected', als.getStore()]);
    als.enterWith('of the old session');
  });
  await connectWorker(server, 'w');
  server.trackRequest('w', 'r');
  server.onWorkerConnected(() => seen.push(['connected', als.getStore()]));
  await connectWorker(server, 'w');
  expect(seen).toEqual([
    ['disconnected', undefined],
    ['connected', undefined],
  ]);
});

test('handlers see the context in which the server was started, not that of their subscription', async () => {
  const als = storage();
  const { server } = createServer();
  const seen = [];
  als.run('subscribed', () =>
    server.onWorkerMessage('x', () => {
      seen.push(als.getStore());
      als.enterWith('entered');
    }),
  );
  server.addHttpHandler((req, res) => {
    seen.push(als.getStore());
    res.end();
    return true;
  });
  await als.run('started', () => server.start());
  const worker = await connectWorker(server, 'w');
  for (let n = 0; n < 3; n += 1) worker.send({ type: 'x' });
  await worker.sync();
  await request(server.port);
  expect(seen).toEqual(['started', 'started', 'started', 'started']);
});

test('an event that throws leaves its context behind as well', async () => {
  const als = storage();
  const { server } = await startServer();
  const seen = [];
  server.onWorkerMessage('x', () => {
    seen.push(als.getStore());
    als.enterWith('left behind');
    throw new Error('thrown');
  });
  const worker = await connectWorker(server, 'w');
  for (let n = 0; n < 3; n += 1) worker.send({ type: 'x' });
  await worker.sync();
  expect(seen).toEqual([undefined, undefined, undefined]);
});

test('the events of a ConnectionHandler have their own contexts, too', () => {
  const als = storage();
  const handler = new ConnectionHandler(new WorkerPool(), { heartbeatTimeoutMs: 1000, heartbeatIntervalMs: 500 });
  const seen = [];
  handler.onMessage('x', () => {
    seen.push(als.getStore());
    als.enterWith('entered');
  });
  const socket = Object.assign(new EventEmitter(), { readyState: 1, close() {}, send() {} });
  handler.handleConnection(socket);
  als.run('of the socket', () => {
    socket.emit('message', '{"type":"x"}');
    socket.emit('message', '{"type":"x"}');
    expect(als.getStore()).toBe('of the socket');
  });
  expect(seen).toEqual(['of the socket', 'of the socket']);
});
