'use strict';

// Where the server listens.

const net = require('node:net');
const { once } = require('node:events');
const WebSocket = require('ws');
const { freePort } = require('../support/ports.js');
const { createServer, startServer } = require('../support/server.js');
const { registrationOf } = require('../support/worker.js');

const sockets = new Set();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

/** 'connect' if something listens there, else the code of the error. */
function knock(host, port) {
  const socket = net.connect({ host, port });
  sockets.add(socket);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve('connect'));
    socket.once('error', ({ code }) => resolve(code));
  });
}

/** What Node's own server says when it can't listen there. */
async function errorOfNode(host, port) {
  const server = net.createServer().listen(port, host);
  const [error] = await once(server, 'error');
  return error;
}

async function register(host, port) {
  const ws = new WebSocket(`ws://${host}:${port}/`);
  await once(ws, 'open');
  sockets.add(ws._socket);
  ws.send(JSON.stringify(registrationOf('w')));
  const [data] = await once(ws, 'message');
  return JSON.parse(data);
}

test('without a host every interface is listened on, IPv4 and IPv6', async () => {
  for (const host of [undefined, null]) {
    const { server } = await startServer({ host });
    expect(await knock('127.0.0.1', server.port)).toBe('connect');
    expect(await knock('::1', server.port)).toBe('connect');
    await server.stop();
  }
});

test('127.0.0.1 is reached there and nowhere else', async () => {
  const { server } = await startServer({ host: '127.0.0.1' });
  expect(await register('127.0.0.1', server.port)).toMatchObject({ success: true });
  expect(await knock('::1', server.port)).not.toBe('connect');
  // The rest of 127.0.0.0/8 is this machine, too, where it is configured.
  expect(await knock('127.0.0.2', server.port)).not.toBe('connect');
});

test('::1 is reached there and nowhere else', async () => {
  const { server } = await startServer({ host: '::1' });
  expect(await register('[::1]', server.port)).toMatchObject({ success: true });
  expect(await knock('127.0.0.1', server.port)).toBe('ECONNREFUSED');
});

test('a host name is looked up', async () => {
  const { server } = await startServer({ host: 'localhost' });
  expect(await register('localhost', server.port)).toMatchObject({ success: true });
});

test('0.0.0.0 is IPv4 alone', async () => {
  const { server } = await startServer({ host: '0.0.0.0' });
  expect(await knock('127.0.0.1', server.port)).toBe('connect');
  expect(await knock('::1', server.port)).toBe('ECONNREFUSED');
});

test('an address that is not of this machine rejects as Node does, and is logged', async () => {
  const host = '203.0.113.7'; // Reserved for documentation: nobody has it.
  const port = await freePort();
  const { server, log } = createServer({ host, port });
  const error = await server.start().catch((thrown) => thrown);
  const expected = await errorOfNode(host, port);
  expect(error.message).toBe(expected.message);
  expect({ ...error }).toEqual({ ...expected });
  expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'listen', address: host, port });
  expect(log.lines).toEqual([{ level: 'error', message: 'HTTP server error', context: { error: error.message } }]);
});

test.each([
  ['an address of nobody', '192.0.2.1'],
  ['an IPv6 address of nobody', '2001:db8::1'],
  ['an IPv4 address as IPv6 writes it', '::ffff:192.0.2.1'],
  ['an address of a link, which is not named', 'fe80::1'],
  ['an address of a link that there is not', 'fe80::1%nope'],
  ['an address that is no host', '0.0.0.1'],
])('%s is the same error as of Node, field by field, with a port and with 0', async (_, host) => {
  for (const port of [0, await freePort()]) {
    const { server } = createServer({ host, port });
    const error = await server.start().catch((thrown) => thrown);
    const expected = await errorOfNode(host, port);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe(expected.message);
    expect(Object.entries(error)).toEqual(Object.entries(expected));
    expect(Object.hasOwn(error, 'port')).toBe(port !== 0);
  }
});

test.each([[undefined], ['127.0.0.1'], ['::1'], ['0.0.0.0']])(
  'a port that is taken on %p is the same error as of Node',
  async (host) => {
    const { server: first } = await startServer({ host });
    const { port } = first;
    const { server } = createServer({ host, port });
    const error = await server.start().catch((thrown) => thrown);
    const expected = await errorOfNode(host, port);
    expect(error.message).toBe(expected.message);
    expect(Object.entries(error)).toEqual(Object.entries(expected));
    expect(error).toMatchObject({ code: 'EADDRINUSE', port });
  },
);

test('a port that needs rights is the same error as of Node, or none where the rights are there', async () => {
  for (const host of [undefined, '127.0.0.1']) {
    const node = net.createServer();
    const expected = await new Promise((resolve) => {
      node.once('error', resolve);
      node.listen(1, host, () => node.close(() => resolve(undefined)));
    });
    const { server } = createServer({ host, port: 1 });
    const error = await server.start().catch((thrown) => thrown);
    await server.stop();
    expect(error?.message).toBe(expected?.message);
    expect({ ...error }).toEqual({ ...expected });
  }
});

test('a taken port on one address rejects with that address', async () => {
  const { server: first } = await startServer({ host: '127.0.0.1' });
  const { server } = createServer({ host: '127.0.0.1', port: first.port });
  await expect(server.start()).rejects.toMatchObject({ code: 'EADDRINUSE', address: '127.0.0.1', port: first.port });
});

test('a host name that does not exist rejects as Node does', async () => {
  const host = 'no-such-host.invalid';
  const { server, log } = createServer({ host });
  const error = await server.start().catch((thrown) => thrown);
  const expected = await errorOfNode(host, 0);
  expect(error.message).toBe(expected.message);
  // Without a network the code is another one (EAI_AGAIN), for both.
  expect({ ...error }).toEqual({ ...expected });
  expect(error.syscall).toBe('getaddrinfo');
  expect(log.contexts('HTTP server error')).toEqual([{ error: error.message }]);
});

test('a start that failed for its host leaves nothing behind and can be tried again', async () => {
  const { server } = createServer({ host: 'no-such-host.invalid' });
  await expect(server.start()).rejects.toThrow(/getaddrinfo/);
  await expect(server.start()).rejects.toThrow(/getaddrinfo/);
  await expect(server.stop()).resolves.toBeUndefined();
});

test('a stop while the host is looked up stops the server that comes of it', async () => {
  const { server, log } = createServer({ host: 'localhost' });
  const started = server.start();
  await server.stop();
  await started;
  expect(log.lines.map(({ message }) => message)).toEqual([
    'HTTP + WebSocket server started',
    'HTTP + WebSocket server stopped',
  ]);
  await expect(server.start()).resolves.toBeUndefined();
});

test('a second start while the host is looked up rejects', async () => {
  const { server } = createServer({ host: 'localhost' });
  const first = server.start();
  await expect(server.start()).rejects.toThrow(/already running/);
  await first;
});

test.each([
  ['an empty text', ''],
  ['a number', 0],
  ['a list', ['127.0.0.1']],
  ['an object', {}],
])('%s for a host is a TypeError that names it', (_, host) => {
  expect(() => createServer({ host })).toThrow(TypeError);
  expect(() => createServer({ host })).toThrow(/^options\.host must be a string/);
});
