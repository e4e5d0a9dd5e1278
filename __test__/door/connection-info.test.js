'use strict';

// getConnectionInfo: whence a worker's connection came, and the request that opened it.

const http = require('node:http');
const { createServer, nextCall, startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

test('it has the address, the request and the time of the connection', async () => {
  const before = Date.now();
  const { server } = await startServer();
  const headers = { 'X-Tenant': 'blue', Cookie: 'a=1' };
  const worker = await connectWorker(server, 'w', {}, { path: '/ws?room=a%20b', headers });
  const info = server.getConnectionInfo('w');
  expect(Object.keys(info)).toEqual(['remoteAddress', 'remotePort', 'url', 'headers', 'encrypted', 'connectedAt']);
  expect(['127.0.0.1', '::1']).toContain(info.remoteAddress);
  expect(info.remotePort).toBe(worker.ws._socket.localPort);
  expect(info.url).toBe('/ws?room=a%20b');
  expect(info.encrypted).toBe(false);
  expect(info.headers).toMatchObject({ 'x-tenant': 'blue', cookie: 'a=1', upgrade: 'websocket' });
  expect(info.headers.host).toBe(`localhost:${server.port}`);
  expect(info.connectedAt).toBeInstanceOf(Date);
  expect(info.connectedAt.getTime()).toBeGreaterThanOrEqual(before);
  expect(info.connectedAt.getTime()).toBeLessThanOrEqual(server.getWorkerInfo()[0].connectedAt.getTime());
});

test('a peer over IPv4 has an IPv4 address, on a server that listens on both', async () => {
  const { server } = await startServer();
  await connectWorker({ ...server, port: server.port, syncs: server.syncs }, 'w', {}, { family: 4 });
  expect(server.getConnectionInfo('w').remoteAddress).toBe('127.0.0.1');
});

test('fields of one name are one, and any name is an own key', async () => {
  const { server } = await startServer();
  const headers = { 'x-a': ['1', '2'], constructor: 'c' };
  Object.defineProperty(headers, '__proto__', { value: 'p', enumerable: true });
  await connectWorker(server, 'w', {}, { headers });
  const info = server.getConnectionInfo('w');
  expect(info.headers['x-a']).toBe('1, 2');
  expect(Object.getOwnPropertyDescriptor(info.headers, '__proto__')?.value).toBe('p');
  expect(info.headers.constructor).toBe('c');
  expect(Object.isFrozen(info.headers)).toBe(true);
});

test('each call returns an object of its own', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w');
  const first = server.getConnectionInfo('w');
  first.connectedAt.setTime(0);
  first.url = 'changed';
  expect(server.getConnectionInfo('w')).not.toEqual(first);
  expect(server.getConnectionInfo('w').url).toBe('/');
});

test('it is null for an id that no connected worker has, and before start and after stop', async () => {
  const { server } = createServer();
  expect(server.getConnectionInfo('w')).toBeNull();
  await server.start();
  expect(server.getConnectionInfo('w')).toBeNull();
  const worker = await connectWorker(server, 'w');
  expect(server.getConnectionInfo('w')).not.toBeNull();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close();
  await left;
  expect(server.getConnectionInfo('w')).toBeNull();
  await connectWorker(server, 'w');
  await server.stop();
  expect(server.getConnectionInfo('w')).toBeNull();
});

test('after a replacement it is that of the new connection', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', {}, { path: '/old' });
  await connectWorker(server, 'w', {}, { path: '/new' });
  expect(server.getConnectionInfo('w').url).toBe('/new');
});

test('a worker whose connection served other requests before has one as well', async () => {
  const { server } = await startServer();
  server.addHttpHandler((req, res) => {
    res.end('ok');
    return true;
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const freed = new Promise((resolve) => agent.once('free', resolve));
    http.get({ port: server.port, agent }, (res) => res.resume());
    const { localPort } = await freed;
    await connectWorker(server, 'w', {}, { path: '/late?x=1', agent });
    expect(server.getConnectionInfo('w')).toMatchObject({ url: '/late?x=1', remotePort: localPort });
  } finally {
    agent.destroy();
  }
});

test.each([[undefined], [null], [5], [{}]])('an id that is %p is a TypeError that names the argument', (workerId) => {
  const { server } = createServer();
  expect(() => server.getConnectionInfo(workerId)).toThrow(TypeError);
  expect(() => server.getConnectionInfo(workerId)).toThrow(/^workerId must be a string/);
});
