'use strict';

// Peers that abuse TLS: a well-behaved worker's echo goes on, and memory is bounded.

const net = require('node:net');
const { once } = require('node:events');
const { GARBAGE, clientHello } = require('../attackers/tls-attacks');
const { certificates } = require('../support/certificates');
const { onCleanup } = require('../support/cleanup');
const { startServer, until } = require('../support/server');
const { shakeHands, sClient } = require('../support/tls-client');
const { connectOver } = require('../support/tls-worker');

const MIB = 2 ** 20;

let made;
let server;
let port;
let log;
let worker;
beforeEach(async () => {
  made ??= certificates();
  const options = { tls: { cert: made.server.cert, key: made.server.key }, limits: { headTimeoutMs: 2_000 } };
  ({ server, port, log } = await startServer(options));
  server.onWorkerMessage('echo', ({ id }, message) => server.send(id, message));
  worker = await connectOver(port, 'honest', { ca: made.ca.cert });
});

async function echo() {
  const sent = { type: 'echo', n: Math.random() };
  worker.send(sent);
  expect(await worker.next()).toEqual(sent);
}

async function open(count) {
  const sockets = Array.from({ length: count }, () => net.connect({ port, host: '127.0.0.1' }));
  onCleanup(() => sockets.forEach((socket) => socket.destroy()));
  for (const socket of sockets) socket.on('error', () => {}).resume();
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

const allClosed = (sockets) => until(() => sockets.every((socket) => socket.destroyed));

test('1,000 handshakes that go on a byte at a time are ended in time, and take little', async () => {
  const hello = await clientHello();
  const before = process.memoryUsage().rss;
  const sockets = await open(1_000);
  let sent = 0;
  while (!sockets.every((socket) => socket.destroyed)) {
    for (const socket of sockets) if (socket.writable) socket.write(hello.subarray(sent, sent + 1));
    sent += 1;
    await echo();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  // Both ends are in this process.
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * MIB);
  expect(log.all('Request head took too long').length).toBeGreaterThan(0);
}, 30_000);

test('handshakes that stop after the first message are ended in time', async () => {
  const hello = await clientHello();
  const sockets = await open(300);
  for (const socket of sockets) socket.write(hello);
  await echo();
  await allClosed(sockets);
  await echo();
});

test.each(
  [
    'garbage behind a header of a record',
    'a record that is too long',
    'a message whose length is without end',
    'records with nothing in them',
    'an alert',
  ].map((name, index) => [name, GARBAGE[index]]),
)('%s costs the connection that sends it', async (_, bytes) => {
  const sockets = await open(50);
  for (const socket of sockets) socket.write(bytes());
  await allClosed(sockets);
  await echo();
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('garbage in the place of a record ends a connection that was encrypted', async () => {
  for (const bytes of [
    Buffer.alloc(100, 0xa5),
    Buffer.concat([Buffer.from('1703030100', 'hex'), Buffer.alloc(256, 1)]),
  ]) {
    const below = net.connect({ port, host: '127.0.0.1' });
    await once(below, 'connect');
    await shakeHands(port, { ca: made.ca.cert, socket: below });
    below.write(bytes);
    await once(below, 'close');
  }
  await echo();
});

test('a peer that wants to negotiate anew and anew is refused', async () => {
  const { text } = await sClient(port, ['-tls1_2', '-legacy_renegotiation'], 'R\nR\nR\nR\nR\n');
  expect(text).toMatch(/no renegotiation/i);
  await echo();
});
