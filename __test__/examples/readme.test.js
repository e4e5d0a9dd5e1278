'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const workerServer = require('../support/package.js');

const readme = fs.readFileSync(path.join(__dirname, '../../README.md'), 'utf8');
const examples = [...readme.matchAll(/```js run\n(.*?)```/gs)].map(([, code]) => [code.split('\n', 1)[0], code]);
const AsyncFunction = (async () => {}).constructor;

const servers = [];

/** The package, with a record of the servers that an example makes. */
const recorded = {
  ...workerServer,
  WorkerServer: class extends workerServer.WorkerServer {
    constructor(options) {
      super(options);
      servers.push(this);
    }
  },
};

async function startedServer() {
  const server = new recorded.WorkerServer({ port: 0 });
  await server.start();
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
  await once(ws, 'open');
  const capabilities = {
    models: [{ modelId: 'llama-3-8b' }],
    maxConcurrentRequests: 4,
    concurrencyLimits: { chat: 2 },
  };
  ws.send(JSON.stringify({ type: 'worker_registration', workerId: 'w1', workerName: 'One', capabilities }));
  await once(ws, 'message');
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

test('the README has examples that are run', () => {
  expect(examples.length).toBeGreaterThanOrEqual(9);
});

test.each(examples)('the example of the README that begins with «%s» runs', async (_, code) => {
  const server = await startedServer();
  const console = { log: jest.fn() };
  const requireFrom = (name) => (name === '@hardlydifficult/worker-server' ? recorded : require(name));
  // The example that makes its own server is a program: it has no server to begin with.
  const isProgram = code.includes('const server =');
  const names = ['require', 'workerServer', 'console', ...(isProgram ? [] : ['server'])];
  const run = new AsyncFunction(...names, code);
  await run(requireFrom, recorded, console, server);
});

test('the slots that the README promises are the ones that there are', async () => {
  const server = await startedServer();
  expect([server.getAvailableSlotCount('llama-3'), server.getAvailableSlotCount('llama-3', 'chat')]).toEqual([4, 2]);
});

test('the README names every export and every member of the server', () => {
  const { prototype } = require('../../index.js').WorkerServer;
  const members = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor');
  for (const name of [...Object.keys(workerServer), ...members]) expect(readme).toContain(name);
});
