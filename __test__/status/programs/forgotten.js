'use strict';

// Makes servers with status pages that nobody keeps, and ends when nobody listens to their channels any more.

const { channel } = require('node:diagnostics_channel');
const { WorkerServer } = require('../../../index.js');
const { statusPage } = require('../../../lib/status/index.js');

const connected = channel('worker-server:worker.connected');

function makeServers() {
  for (let i = 0; i < 5; i += 1) {
    const server = new WorkerServer({ port: 0 });
    server.addHttpHandler(statusPage(server));
  }
}

async function untilForgotten() {
  makeServers();
  console.log(`listens: ${connected.hasSubscribers}`);
  while (connected.hasSubscribers) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log('forgotten');
}

untilForgotten();
