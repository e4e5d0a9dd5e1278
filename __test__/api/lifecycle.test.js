'use strict';

// Starting and stopping.

const net = require('node:net');
const { isNativeError } = require('node:util').types;
const http = require('node:http');
const WebSocket = require('ws');
const { createServer, nextCall, startServer } = require('../support/server.js');
const { WorkerClient, connect, connectWorker } = require('../support/worker.js');

const others = new Set();

const listenOn = (port) =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(port, () => {
      others.add(server);
      resolve(server);
    });
  });

const closeNet = (server) => new Promise((resolve) => server.close(resolve));

afterEach(() => {
  for (const server of others) server.close();
  others.clear();
});

test('the port is the configured one before start and the bound one after', async () => {
  const { server } = createServer();
  expect(server.port).toBe(0);
  await server.start();
  expect(server.port).toBeGreaterThan(0);
  const { port } = server;
  const client = await connect(server);
  expect(client.ws.url).toContain(`:${port}/`);
});

test('constructing listens on nothing', async () => {
  const free = await listenOn(0);
  const { port } = free.address();
  await closeNet(free);
  const { server } = createServer({ port });
  const other = await listenOn(port);
  expect(server.port).toBe(port);
  await closeNet(other);
});

test('start resolves with nothing, when connections are taken', async () => {
  const { server } = createServer();
  await expect(server.start()).resolves.toBeUndefined();
  await connectWorker(server);
  expect(server.getWorkerCount()).toBe(1);
});

test.each([['127.0.0.1'], ['[::1]']])('it listens on %s', async (host) => {
  const { server } = await startServer();
  const ws = new WebSocket(`ws://${host}:${server.port}/`);
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
  ws.terminate();
});

test('a second start while running rejects and leaves the server running', async () => {
  const { server } = await startServer();
  await expect(server.start()).rejects.toThrow(/already running/);
  await expect(server.start()).rejects.toBeInstanceOf(Error);
  await connectWorker(server);
  expect(server.getWorkerCount()).toBe(1);
});

test('a second start while the first is still under way rejects', async () => {
  const { server } = createServer();
  const first = server.start();
  await expect(server.start()).rejects.toThrow(/already running/);
  await first;
  await connectWorker(server);
});

test('a port in use rejects with the error that Node reports', async () => {
  const taken = await listenOn(0);
  const { port } = taken.address();
  const { server, log } = createServer({ port });
  const error = await server.start().catch((thrown) => thrown);
  expect(isNativeError(error)).toBe(true);
  expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', port });
  expect(error.message).toMatch(/EADDRINUSE/);
  expect(log.contexts('HTTP server error')).toEqual([{ error: error.message }]);
  expect(log.lines.map(({ level }) => level)).toEqual(['error']);
  await closeNet(taken);
});

test('a start that failed can be tried again', async () => {
  const taken = await listenOn(0);
  const { port } = taken.address();
  const { server } = createServer({ port });
  await expect(server.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await expect(server.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await closeNet(taken);
  await server.start();
  await connectWorker(server);
  expect(server.getWorkerCount()).toBe(1);
});

test('stop does nothing if the server never ran or was stopped already', async () => {
  const { server, log } = createServer();
  await expect(server.stop()).resolves.toBeUndefined();
  expect(log.lines).toEqual([]);
  await server.start();
  await server.stop();
  await server.stop();
  expect(log.contexts('HTTP + WebSocket server stopped')).toHaveLength(1);
});

test('two stops at once both resolve', async () => {
  const { server } = await startServer();
  await connectWorker(server);
  await Promise.all([server.stop(), server.stop()]);
  expect(server.getWorkerCount()).toBe(0);
});

test('stop closes every worker with 1001 and empties the pool without disconnected events', async () => {
  const { server } = await startServer();
  const disconnected = jest.fn();
  server.onWorkerDisconnected(disconnected);
  const workers = [await connectWorker(server, 'a'), await connectWorker(server, 'b')];
  server.trackRequest('a', 'r1');
  const stopped = server.stop();
  expect(server.getWorkerCount()).toBe(0);
  await stopped;
  for (const worker of workers) {
    expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
  }
  expect(disconnected).not.toHaveBeenCalled();
  expect(server.getWorkerInfo()).toEqual([]);
});

test('stop ends sockets that never registered, too', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  await server.stop();
  expect((await client.closed).code).toBe(1001);
});

test('stop closes endpoint sockets with 1001', async () => {
  const { server } = await startServer();
  const arrived = nextCall((handler) => {
    server.addWebSocketEndpoint('/dash', handler);
    return () => {};
  });
  const client = await connect(server, { path: '/dash' });
  await arrived;
  await server.stop();
  expect((await client.closed).code).toBe(1001);
});

test('stop cuts a worker that does not answer, once the grace period is over', async () => {
  const { server } = await startServer({ limits: { stopGraceMs: 100 } });
  const worker = await connectWorker(server);
  worker.ws._socket.pause();
  await server.stop();
  worker.ws._socket.resume();
  await worker.closed;
  expect(server.getWorkerCount()).toBe(0);
});

test('stop ends with a keep-alive connection open', async () => {
  const { server } = await startServer();
  const agent = new http.Agent({ keepAlive: true });
  const status = await new Promise((resolve, reject) => {
    http
      .get({ port: server.port, agent }, (res) => res.resume().once('end', () => resolve(res.statusCode)))
      .once('error', reject);
  });
  expect(status).toBe(404);
  await server.stop();
  agent.destroy();
});

test('after stop nothing listens on the port', async () => {
  const { server } = await startServer();
  const { port } = server;
  await server.stop();
  await closeNet(await listenOn(port));
});

test('a stopped server can be started again and keeps its event handlers and HTTP handlers', async () => {
  const { server } = await startServer();
  const connected = jest.fn();
  server.onWorkerConnected(connected);
  server.addHttpHandler(async (req, res) => {
    res.end('kept');
    return true;
  });
  await connectWorker(server, 'a');
  await server.stop();
  await server.start();
  await connectWorker(server, 'b');
  expect(connected.mock.calls.map(([worker]) => worker.id)).toEqual(['a', 'b']);
  expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['b']);
  const answer = await fetch(`http://localhost:${server.port}/`);
  expect(await answer.text()).toBe('kept');
});

test('stop forgets the endpoints: their paths are worker connections afterwards', async () => {
  const { server, log } = await startServer();
  const handler = jest.fn();
  server.addWebSocketEndpoint('/dash', handler);
  await server.stop();
  await server.start();
  await connectWorker(server, 'w', {}, { path: '/dash' });
  expect(handler).not.toHaveBeenCalled();
  expect(log.contexts('Worker registered')).toHaveLength(1);
});

test('two servers in one process do not know each other', async () => {
  const { server: one } = await startServer();
  const { server: two } = await startServer();
  await connectWorker(one, 'w');
  expect([one.getWorkerCount(), two.getWorkerCount()]).toEqual([1, 0]);
  expect(two.send('w', { type: 'x' })).toBe(false);
});

test('a connection to a stopped server is refused', async () => {
  const { server } = await startServer();
  const { port } = server;
  await server.stop();
  const client = new WorkerClient({ port });
  await expect(client.opened).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
