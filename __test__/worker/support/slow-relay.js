'use strict';

// A relay in front of a server that carries what the worker sends at a fixed rate: a slow uplink.

const net = require('node:net');
const { once } = require('node:events');
const { onCleanup } = require('../../support/cleanup.js');

const STEP_MS = 50;

/** @returns the relay's port */
async function startSlowRelay(port, bytesPerSecond) {
  const sockets = new Set();
  const relay = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    far.pipe(near);
    // A read takes no more than its allowance, and the rest stays with the sender.
    near.pause();
    near.on('readable', () => {});
    const timer = setInterval(() => {
      let allowance = (bytesPerSecond * STEP_MS) / 1000;
      while (allowance > 0 && near.readableLength > 0) {
        const data = near.read(Math.min(allowance, near.readableLength));
        if (data === null) break;
        allowance -= data.length;
        far.write(data);
      }
    }, STEP_MS);
    near.on('close', () => clearInterval(timer));
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => relay.close(resolve));
  });
  return relay.address().port;
}

module.exports = { startSlowRelay };
