'use strict';

// Starts a server, where that makes the addon panic.

const net = require('node:net');
const { once } = require('node:events');
const { WorkerServer } = require('../../../index.js');

/** Listens for a moment. */
async function listen(port) {
  const listener = net.createServer().listen(port);
  await once(listener, 'listening');
  const address = listener.address();
  listener.close();
  await once(listener, 'close');
  return address;
}

async function main() {
  const { port } = await listen(0);
  const server = new WorkerServer({ port });
  for (let time = 0; time < 2; time += 1) {
    const thrown = await server.start().catch((error) => error);
    console.log('an error:', thrown instanceof Error);
  }
  await server.stop();
  await listen(port);
  console.log('still here, and the port is free');
}

main();
