'use strict';

// A server, a worker, and a subscriber that throws.

const diagnostics = require('node:diagnostics_channel');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { WorkerServer } = require('../../support/package');

process.on('uncaughtException', (error) => console.log(`uncaught: ${error.message}`));
diagnostics.subscribe('worker-server:worker.connected', () => {
  throw new Error('from a subscriber');
});

async function main() {
  const server = new WorkerServer({ port: 0 });
  server.onWorkerConnected((worker) => console.log(`connected ${worker.id}`));
  await server.start();
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
  await once(ws, 'open');
  const capabilities = { models: [], maxConcurrentRequests: 1 };
  ws.send(JSON.stringify({ type: 'worker_registration', workerId: 'w', capabilities }));
  await once(ws, 'message');
  await server.stop();
}

main();
