// What the status page costs a server: its processor time with and without somebody who watches.
//
//   node benchmark/status-page.mjs [--workers N] [--changes N] [--seconds N]
//
// By default 1,000 workers with a heartbeat every 15 s, of which 50 a second get a request or lose one, for 15 s each: without the page,
// with the page and nobody who watches, with one viewer and with ten.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const HEARTBEAT_MS = 15_000;
const PHASES = [
  { name: 'without the page', hasPage: false, viewers: 0 },
  { name: 'with the page, nobody watches', hasPage: true, viewers: 0 },
  { name: 'one viewer', hasPage: true, viewers: 1 },
  { name: 'ten viewers', hasPage: true, viewers: 10 },
];

const { values } = parseArgs({
  options: {
    serve: { type: 'string' },
    workers: { type: 'string', default: '1000' },
    changes: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '15' },
  },
});
const [workers, changes, seconds] = [values.workers, values.changes, values.seconds].map(Number);

/** The server's process: its application tracks requests on workers, or releases them, `changes` times a second. */
async function serve(hasPage) {
  const { WorkerServer } = require('../index.js');
  const { statusPage } = require('../lib/status/index.js');
  const server = new WorkerServer({ port: 0, host: '127.0.0.1', heartbeatIntervalMs: HEARTBEAT_MS });
  if (hasPage) server.addHttpHandler(statusPage(server));
  await server.start();
  const tracked = new Set();
  let next = 0;
  setInterval(() => {
    for (let i = 0; i < changes / 10; i += 1) {
      next = (next + 7919) % workers;
      const id = `w${next}`;
      if (tracked.delete(id)) server.releaseRequest(id);
      else tracked.add(id) && server.trackRequest(id, id);
    }
  }, 100);
  process.on('message', () => process.send({ usage: process.cpuUsage(), workers: server.getWorkerCount() }));
  process.on('disconnect', () => process.exit());
  process.send({ port: server.port });
}

async function connectWorkers(port) {
  const WebSocket = require('ws');
  const sockets = [];
  for (let i = 0; i < workers; i += 1) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
    await once(ws, 'open');
    const models = [
      { modelId: `model-${i % 20}`, displayName: '', maxContextTokens: 1, maxOutputTokens: 1, supportsStreaming: true },
    ];
    const capabilities = { models, maxConcurrentRequests: 2 };
    ws.send(
      JSON.stringify({ type: 'worker_registration', workerId: `w${i}`, workerName: `worker ${i}`, capabilities }),
    );
    sockets.push(ws);
  }
  let turn = 0;
  const timer = setInterval(() => {
    // So that they don't all beat at once.
    for (let i = turn; i < workers; i += 150) {
      sockets[i].send(JSON.stringify({ type: 'heartbeat', workerId: `w${i}`, timestamp: new Date().toISOString() }));
    }
    turn = (turn + 1) % 150;
  }, HEARTBEAT_MS / 150);
  return () => {
    clearInterval(timer);
    for (const ws of sockets) ws.terminate();
  };
}

/** Watches the page; returns how many bytes it got. */
function watch(port) {
  const seen = { bytes: 0 };
  const req = http.get({ port, host: '127.0.0.1', path: '/status/events', agent: false }, (res) => {
    res.on('data', (data) => (seen.bytes += data.length));
    res.on('error', () => {});
  });
  req.on('error', () => {});
  return { seen, leave: () => req.destroy() };
}

async function measure({ name, hasPage, viewers }) {
  const child = fork(fileURLToPath(import.meta.url), ['--serve', String(hasPage), ...process.argv.slice(2)]);
  const [{ port }] = await once(child, 'message');
  const disconnect = await connectWorkers(port);
  const watching = Array.from({ length: viewers }, () => watch(port));
  await pause(2_000);
  const ask = async () => {
    child.send('usage');
    const [answer] = await once(child, 'message');
    return answer;
  };
  const before = await ask();
  const bytes = watching.map(({ seen }) => seen.bytes);
  const began = performance.now();
  await pause(seconds * 1_000);
  const after = await ask();
  const elapsedMs = performance.now() - began;
  const cpuMs = (after.usage.user + after.usage.system - before.usage.user - before.usage.system) / 1_000;
  const perUpdate = watching.length === 0 ? 0 : (watching[0].seen.bytes - bytes[0]) / (elapsedMs / 1_000);
  for (const { leave } of watching) leave();
  disconnect();
  child.kill();
  await once(child, 'exit');
  if (after.workers !== workers) throw new Error(`${after.workers} of ${workers} workers were there`);
  return { name, percent: (100 * cpuMs) / elapsedMs, perUpdate };
}

if (values.serve !== undefined) await serve(values.serve === 'true');
else {
  console.log(`${workers} workers, ${changes} changes a second; the server's processor time, in percent of a core:`);
  let first;
  for (const phase of PHASES) {
    const { name, percent, perUpdate } = await measure(phase);
    first ??= percent;
    const more = `${(percent - first).toFixed(2)} more`;
    const size = perUpdate === 0 ? '' : `, ${(perUpdate / 1024).toFixed(1)} KiB an update`;
    console.log(`  ${name.padEnd(32)}${percent.toFixed(2).padStart(6)} %  ${more}${size}`);
  }
}
