'use strict';

// The server's side of tls.mjs, in a process of its own: this package, or the same behaviour on Node's `https` and npm's `ws`.

const http = require('node:http');
const https = require('node:https');

const [implementation, cert, key] = process.argv.slice(2);
let messages = 0;

async function start() {
  const isHere = implementation === 'here';
  const { WorkerServer } = require(isHere ? '../index.js' : '../__test__/parity/standin.js');
  // The stand-in has no TLS of its own: it gets Node's.
  if (!isHere) http.createServer = (...args) => https.createServer({ cert, key }, ...args);
  const server = new WorkerServer({ port: 0, ...(isHere && { tls: { cert, key } }) });
  server.onWorkerMessage('flood', () => {
    messages += 1;
  });
  server.onWorkerMessage('ask', (worker, message) => {
    messages += 1;
    server.send(worker.id, message);
  });
  await server.start();
  process.send({ port: server.port });
}

process.on('message', () => {
  if (global.gc) global.gc();
  const { user, system } = process.cpuUsage();
  process.send({ messages, cpuUs: user + system, rss: process.memoryUsage.rss() });
});

start();
