'use strict';

// Runs the examples of the documents: their blocks that begin with ```js run.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { onCleanup } = require('./cleanup.js');
const workerServer = require('./package.js');

const AsyncFunction = (async () => {}).constructor;

/** The package, whose servers are stopped after the test. */
const recorded = {
  ...workerServer,
  WorkerServer: class extends workerServer.WorkerServer {
    constructor(options) {
      super(options);
      onCleanup(() => this.stop());
    }
  },
};

const readDocument = (name) => fs.readFileSync(path.join(__dirname, '../..', name), 'utf8');

/** The examples of a document that are run, each with its first line, which stands for it in the name of a test. */
const examplesIn = (name) =>
  [...readDocument(name).matchAll(/```js run\n(.*?)```/gs)].map(([, code]) => [code.split('\n', 1)[0], code]);

/** A started server with a worker that serves `llama-3-8b`, answers requests with a text and streams with its words. */
async function startedServer() {
  const server = new recorded.WorkerServer({ port: 0 });
  await server.start();
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
  ws.on('error', () => {});
  await once(ws, 'open');
  const send = (message) => ws.send(JSON.stringify(message));
  const capabilities = {
    models: [{ modelId: 'llama-3-8b' }],
    maxConcurrentRequests: 4,
    concurrencyLimits: { chat: 2 },
    metadata: { gpu: 'a100', memory: 80 },
  };
  const features = ['request'];
  send({ type: 'worker_registration', workerId: 'w1', workerName: 'One', features, capabilities });
  await once(ws, 'message');
  ws.on('message', (data) => {
    const { type, requestId, attempt, stream } = JSON.parse(data);
    if (type !== 'request') return;
    const words = stream ? ['Good', 'morning'] : [];
    words.forEach((text, seq) => send({ type: 'request_chunk', requestId, attempt, seq, data: { text } }));
    send({ type: 'request_result', requestId, attempt, data: { text: 'Good morning' } });
  });
  return server;
}

/**
 * Runs an example with `server`, as a program of its own if it makes one. Resolves with what it logged, a line each.
 */
async function runExample(code, server) {
  const lines = [];
  const log = (...args) => lines.push(args.join(' '));
  const console = { log, warn: log, error: log };
  const requireFrom = (name) => (name === '@hardlydifficult/worker-server' ? recorded : require(name));
  // The example that makes its own server is a program: it has no server to begin with.
  const isProgram = code.includes('const server =');
  const names = ['require', 'workerServer', 'console', ...(isProgram ? [] : ['server'])];
  const run = new AsyncFunction(...names, code);
  await run(requireFrom, recorded, console, server);
  return lines;
}

module.exports = { examplesIn, readDocument, runExample, startedServer };
