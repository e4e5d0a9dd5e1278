'use strict';

// A server, a worker and a request, while nobody subscribes to a channel: it prints what is published all the same.

const { channel } = require('node:diagnostics_channel');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { WorkerServer } = require('../../support/package');

async function main() {
  const connected = channel('worker-server:worker.connected');
  connected.constructor.prototype.publish = () => console.log('published');
  const server = new WorkerServer({ port: 0 });
  await server.start();
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
  await once(ws, 'open');
  const capabilities = { models: [], maxConcurrentRequests: 1 };
  ws.send(JSON.stringify({ type: 'worker_registration', workerId: 'w', capabilities, features: ['request'] }));
  await once(ws, 'message');
  server.setWorkerStatus('w', 'draining');
  server.request({}).catch((error) => console.log(`request: ${error.code}`));
  await server.stop();
  console.log(`subscribers: ${connected.hasSubscribers}`);
}

main();
