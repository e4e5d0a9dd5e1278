'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { WebSocketServer } = require('ws');
const { WorkerServer } = require('../support/package.js');
const { pythonWith } = require('../support/python.js');

const root = path.join(__dirname, '../..');

const servers = [];
const children = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of servers.splice(0)) await server.stop();
});

async function start(options) {
  const server = new WorkerServer({ port: 0, heartbeatIntervalMs: 50, ...options });
  await server.start();
  servers.push(server);
  return server;
}

function run(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'pipe'] });
  children.push(child);
  child.errors = '';
  child.stderr.on('data', (chunk) => {
    child.errors += chunk;
  });
  return child;
}

const runWorker = (url, env, ...args) =>
  run(process.execPath, [path.join(root, 'examples/worker.mjs'), '--id', 'w', '--url', url, ...args], env);

// The package `websockets` may not be installed: a stand-in with its interface takes its place.
const { python, testWithPython } = pythonWith('asyncio');
const runPython = (args) => run(python, args, { PYTHONPATH: path.join(root, '__test__/support/python') });

const connected = (server) => new Promise((resolve) => server.onWorkerConnected(resolve));
const disconnected = (server) => new Promise((resolve) => server.onWorkerDisconnected((...event) => resolve(event)));
const url = (server) => `ws://127.0.0.1:${server.port}`;

test('the worker registers what its options say, and answers', async () => {
  const server = await start({ authToken: 'secret' });
  const registered = connected(server);
  runWorker(url(server), { WORKER_TOKEN: 'secret' }, '--model', 'a', '--model', 'b', '--max', '3', '--limit', 'long=1');
  const { id, capabilities } = await registered;
  expect(id).toBe('w');
  expect(capabilities).toMatchObject({ maxConcurrentRequests: 3, concurrencyLimits: { long: 1 } });
  expect(capabilities.models.map((model) => model.modelId)).toEqual(['a', 'b']);
  const result = server.request({ text: 'One two three four five.\n' }, { model: 'b' });
  expect(await result).toMatchObject({ lines: 1, words: 5 });
  const failure = server.request({ text: null });
  await expect(failure).rejects.toMatchObject({ code: 'WORKER_ERROR', workerId: 'w', started: true });
});

test('the worker lets go of a request that was cancelled, and its slot is free again', async () => {
  const server = await start();
  const registered = connected(server);
  runWorker(url(server), {}, '--max', '1');
  await registered;
  const controller = new AbortController();
  const aborted = server.request({ text: 'word '.repeat(100_000) }, { signal: controller.signal });
  controller.abort(new Error('enough'));
  const next = server.request({ text: 'One two three.' });
  await expect(aborted).rejects.toThrow('enough');
  expect(await next).toMatchObject({ words: 3 });
  expect(server.getWorkerInfo()[0]).toMatchObject({ activeRequests: 0, completedRequests: 1 });
});

test('the worker says that it takes requests, and its heartbeats which ones it has', async () => {
  const listening = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  try {
    await once(listening, 'listening');
    runWorker(`ws://127.0.0.1:${listening.address().port}`);
    const [ws] = await once(listening, 'connection');
    const read = async () => JSON.parse((await once(ws, 'message'))[0]);
    expect(await read()).toMatchObject({ type: 'worker_registration', features: ['request'] });
    ws.send(JSON.stringify({ type: 'worker_registration_ack', success: true, heartbeatIntervalMs: 20 }));
    expect(await read()).toMatchObject({ type: 'heartbeat', workerId: 'w', active: [] });
  } finally {
    for (const ws of listening.clients) ws.terminate();
    listening.close();
  }
});

test('the worker says goodbye on SIGTERM and ends with 0', async () => {
  const lines = [];
  const log = (text, context) => lines.push([text, context]);
  const server = await start({ logger: { debug: log, info: log, warn: log, error: log } });
  const registered = connected(server);
  const child = runWorker(url(server));
  await registered;
  const left = disconnected(server);
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await left;
  expect(await exit).toEqual([0, null]);
  expect(lines).toContainEqual(['Worker disconnected', { workerId: 'w', code: 1000, reason: 'Worker shutting down' }]);
});

test('the worker comes back when the server was away', async () => {
  const server = await start();
  const { port } = server;
  const registered = connected(server);
  runWorker(url(server));
  await registered;
  await server.stop();
  const again = await start({ port });
  await (again.getWorkerCount() > 0 ? undefined : connected(again));
  expect(again.getWorkerInfo()[0].id).toBe('w');
});

test('a worker with a wrong token says so and does not try again', async () => {
  const server = await start({ authToken: 'secret' });
  const child = runWorker(url(server), { WORKER_TOKEN: 'wrong' });
  expect(await once(child, 'close')).toEqual([1, null]);
  expect(child.errors).toContain('Invalid authentication token');
  expect(child.errors).not.toContain('wrong');
});

/**
 * A second worker process takes the id of a first one, which must end: `runFirst` and `runSecond` start one with the id
 * `w`.
 */
async function takeOver(runFirst, runSecond) {
  const server = await start();
  const ids = [];
  server.onWorkerConnected(({ id }) => ids.push(id));
  let registered = connected(server);
  const first = runFirst(url(server));
  await registered;
  registered = connected(server);
  const second = runSecond(url(server));
  await registered;
  expect(await once(first, 'close')).toEqual([1, null]);
  expect(first.errors).toContain('closed by the server: 4003 Replaced by new connection');
  // The second one is not replaced in its turn: it answers, and nobody else has registered by then.
  await server.request({ text: 'x', prompt: 'x' });
  expect([ids, second.exitCode]).toEqual([['w', 'w'], null]);
}

test('a worker whose id another process has taken says so and ends with 1', () => takeOver(runWorker, runWorker));

testWithPython('a worker in Python whose id another process has taken says so and ends with 1', async () => {
  const runPythonWorker = (address) => runPython([path.join(root, 'examples/worker.py'), address, 'w']);
  await takeOver(runPythonWorker, runPythonWorker);
});

testWithPython('the worker in Python comes back when the server was away', async () => {
  const server = await start();
  const { port } = server;
  const registered = connected(server);
  runPython([path.join(root, 'examples/worker.py'), url(server), 'w']);
  await registered;
  await server.stop();
  const again = await start({ port });
  await (again.getWorkerCount() > 0 ? undefined : connected(again));
  expect(again.getWorkerInfo()[0].id).toBe('w');
});

testWithPython('the worker in Python registers, answers and sends heartbeats', async () => {
  const server = await start({ heartbeatTimeoutMs: 60_000 });
  const registered = connected(server);
  runPython([path.join(root, 'examples/worker.py'), url(server), 'py']);
  const { id, lastHeartbeat } = await registered;
  expect(id).toBe('py');
  expect(await server.request({ prompt: 'hello' }, { model: 'llama-3-8b' })).toEqual({ text: 'HELLO' });
  const failure = server.request({ question: 'hello' });
  await expect(failure).rejects.toMatchObject({ code: 'WORKER_ERROR', message: "KeyError('prompt')" });
  await expect(laterHeartbeat(server, lastHeartbeat)).resolves.toBe(true);
});

testWithPython('the worker in Python that PROTOCOL.md shows registers, answers and sends heartbeats', async () => {
  const server = await start({ heartbeatTimeoutMs: 60_000 });
  const guide = fs.readFileSync(path.join(root, 'docs/PROTOCOL.md'), 'utf8');
  const code = guide.match(/```python\n(import asyncio.*?)```/s)[1].replace(/ws:\/\/localhost:\d+/, url(server));
  const registered = connected(server);
  runPython(['-c', code]);
  const { lastHeartbeat } = await registered;
  expect(await server.request({ prompt: 'hello' }, { model: 'llama-3-8b' })).toEqual({ text: 'done' });
  await expect(laterHeartbeat(server, lastHeartbeat)).resolves.toBe(true);
});

test('the worker in JavaScript that PROTOCOL.md shows registers, answers and sends heartbeats', async () => {
  const server = await start({ heartbeatTimeoutMs: 60_000 });
  const guide = fs.readFileSync(path.join(root, 'docs/PROTOCOL.md'), 'utf8');
  const code = guide.match(/```js\n(const \{ WebSocket \}.*?)```/s)[1].replace(/ws:\/\/localhost:\d+/, url(server));
  const registered = connected(server);
  run(process.execPath, ['-e', code]);
  const { lastHeartbeat } = await registered;
  expect(await server.request({ prompt: 'hello' }, { model: 'llama-3-8b' })).toEqual({ text: 'done' });
  await expect(laterHeartbeat(server, lastHeartbeat)).resolves.toBe(true);
});

/** Heartbeats raise no event: looks until one has come. */
async function laterHeartbeat(server, than) {
  while (server.getWorkerInfo()[0].lastHeartbeat <= than) await new Promise((resolve) => setTimeout(resolve, 10));
  return true;
}
