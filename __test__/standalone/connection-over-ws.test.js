'use strict';

// The classes on their own over a real server of the package `ws`.

const { once } = require('node:events');
const { WebSocket, WebSocketServer } = require('ws');
const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { registrationOf } = require('../support/standalone.js');

const CONFIG = { authToken: 'secret', heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

let logger;
let server;
let pool;
let handler;
let clients;

beforeEach(async () => {
  logger = recordingLogger();
  pool = new WorkerPool(logger);
  handler = new ConnectionHandler(pool, CONFIG, logger);
  server = new WebSocketServer({ port: 0 });
  server.on('connection', (ws) => handler.handleConnection(ws));
  clients = [];
  await once(server, 'listening');
});

afterEach(async () => {
  for (const client of clients) client.terminate();
  for (const client of server.clients) client.terminate();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

async function connect() {
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  clients.push(client);
  await once(client, 'open');
  client.next = async () => JSON.parse((await once(client, 'message'))[0]);
  return client;
}

async function connectWorker(id, more) {
  const client = await connect();
  client.send(JSON.stringify(registrationOf(id, { authToken: 'secret', ...more })));
  return { client, ack: await client.next() };
}

test('a worker registers, beats, is sent to, answers, and leaves', async () => {
  const { client, ack } = await connectWorker('a');
  expect(ack).toMatchObject({ success: true, heartbeatIntervalMs: 15_000 });

  client.send(JSON.stringify({ type: 'heartbeat', workerId: 'a', timestamp: 't' }));
  expect(await client.next()).toMatchObject({ type: 'heartbeat_ack', timestamp: 't' });

  const asked = client.next();
  expect(pool.getAvailableWorker('llama-3').id).toBe('a');
  pool.trackRequest('a', 'r');
  expect(pool.send('a', { type: 'work', requestId: 'r' })).toBe(true);
  expect(await asked).toEqual({ type: 'work', requestId: 'r' });

  const result = new Promise((resolve) => {
    handler.onMessage('result', (worker, message) => resolve([worker.id, message]));
  });
  // As a binary frame, for once.
  client.send(Buffer.from(JSON.stringify({ type: 'result', requestId: 'r' })));
  expect(await result).toEqual(['a', { type: 'result', requestId: 'r' }]);
  pool.releaseRequest('r', { incrementCompleted: true });

  const left = new Promise((resolve) => {
    handler.onWorkerDisconnected(resolve);
  });
  client.close(1000, 'done');
  expect(await left).toMatchObject({ id: 'a', completedRequests: 1 });
  expect(logger.contexts('Worker disconnected')).toEqual([{ workerId: 'a', code: 1000, reason: 'done' }]);
});

test('a wrong token is answered and closed with 4001', async () => {
  const client = await connect();
  const closed = once(client, 'close');
  client.send(JSON.stringify(registrationOf('a', { authToken: 'wrong' })));
  expect(await client.next()).toMatchObject({ success: false, error: 'Invalid authentication token' });
  const [code, reason] = await closed;
  expect([code, String(reason)]).toEqual([4001, 'Authentication failed']);
});

test('a malformed registration is answered and closed with 4002', async () => {
  const { client, ack } = await connectWorker('a', { capabilities: null });
  expect(ack).toMatchObject({
    success: false,
    error: 'Invalid registration: capabilities: expected an object, got null',
  });
  expect((await once(client, 'close'))[0]).toBe(4002);
  expect(pool.getCount()).toBe(0);
});

test('the second connection of an id closes the first with 4003', async () => {
  const { client } = await connectWorker('a');
  const closed = once(client, 'close');
  await connectWorker('a');
  expect((await closed)[0]).toBe(4003);
  // Its end on this side has come once the server's own socket says so.
  await logger.line('Unregistered WebSocket connection closed');
  expect(pool.getCount()).toBe(1);
});

test('a connection that breaks off has code 1006', async () => {
  const { client } = await connectWorker('a');
  client.terminate();
  await logger.line('Worker disconnected');
  expect(logger.contexts('Worker disconnected')).toEqual([{ workerId: 'a', code: 1006, reason: '' }]);
});

test('closeAll closes every worker with 1001', async () => {
  const workers = [await connectWorker('a'), await connectWorker('b')];
  const closed = workers.map(({ client }) => once(client, 'close'));
  pool.closeAll();
  expect((await Promise.all(closed)).map(([code]) => code)).toEqual([1001, 1001]);
});
