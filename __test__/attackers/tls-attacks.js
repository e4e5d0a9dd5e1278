'use strict';

// What attackers do to a port of TLS. As the attacks of attacks.js, to which these are added.

const net = require('node:net');
const tls = require('node:tls');
const { once } = require('node:events');
const { connect, loops, opened, sleep } = require('./attacks');

/** The first message of a client, whole: caught by a listener that never answers. */
async function clientHello() {
  const catcher = net.createServer().listen(0, '127.0.0.1');
  await once(catcher, 'listening');
  const client = tls.connect({ port: catcher.address().port, host: '127.0.0.1' });
  client.on('error', () => {});
  const [socket] = await once(catcher, 'connection');
  const [hello] = await once(socket, 'data');
  client.destroy();
  socket.destroy();
  catcher.close();
  return hello;
}

/** Each as a function that makes the bytes anew. */
const GARBAGE = [
  // Garbage behind the header of a record.
  () => Buffer.concat([Buffer.from('1603010100', 'hex'), Buffer.alloc(256, 0xa5)]),
  // A record that is too long.
  () => Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(70_000)]),
  // A message whose length is without end.
  () => Buffer.concat([Buffer.from('160301400001ffffff', 'hex'), Buffer.alloc(16_380)]),
  // Records with nothing in them.
  () => Buffer.alloc(25_000, Buffer.from('1603010000', 'hex')),
  // An alert.
  () => Buffer.from('15030100020100', 'hex'),
];

const attacks = {
  /** Handshakes that come a byte at a time and never end. */
  async 'TLS: slow handshakes'(port, size) {
    const hello = await clientHello();
    const slow = () => ({ socket: connect(port).resume(), at: 0 });
    const peers = Array.from({ length: size }, slow);
    await Promise.all(peers.map(({ socket }) => opened(socket)));
    return loops(1, async () => {
      for (const [index, peer] of peers.entries()) {
        if (!peer.socket.writable || peer.at === hello.length - 1) {
          peer.socket.destroy();
          peers[index] = slow();
        } else {
          peer.socket.write(hello.subarray(peer.at, peer.at + 1));
          peer.at += 1;
        }
      }
      await sleep(100);
    });
  },

  /** What is no TLS behind a beginning that looks like it. */
  async 'TLS: garbage records'(port, size) {
    return loops(size, async (index) => {
      const socket = connect(port).resume();
      await opened(socket);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(GARBAGE[index % GARBAGE.length]());
      await Promise.race([closed, sleep(2_000)]);
      socket.destroy();
    });
  },

  /** Whole handshakes, each thrown away: they cost the server a signature each. */
  async 'TLS: handshakes on a loop'(port, size) {
    return loops(size, async () => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      socket.on('error', () => {});
      await Promise.race([once(socket, 'secureConnect').catch(() => {}), sleep(2_000)]);
      socket.destroy();
    });
  },
};

module.exports = { GARBAGE, attacks, clientHello };
