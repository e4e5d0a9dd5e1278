// What a request costs that goes to a worker of another node, beside one that stays and beside a plain request over NATS,
// in one run: this process is the origin, a second one the other node, a third one has the workers.
// `node benchmark/cluster.mjs [seconds]`.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { WorkerServer } = require('../index.js');
const { natsAdapter } = require('../lib/cluster');
const { connect } = require('@nats-io/transport-node');
const { WebSocket } = require('ws');

const FILE = fileURLToPath(import.meta.url);
const [role, ...values] = process.argv.slice(2);
const [WARM_UP, ROUNDS, CONCURRENCY] = [500, 3_000, 500];

const connectTo = (port) => connect({ servers: `127.0.0.1:${port}`, maxReconnectAttempts: -1 });

async function startNode(natsPort, nodeId) {
  const connection = await connectTo(natsPort);
  const server = new WorkerServer({
    port: 0,
    host: '127.0.0.1',
    cluster: { adapter: natsAdapter(connection), nodeId },
  });
  await server.start();
  return { server, connection };
}

/** A worker that answers at once. */
async function startWorker(port, workerId) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(socket, 'open');
  const capabilities = { models: [{ modelId: workerId }], maxConcurrentRequests: CONCURRENCY };
  socket.send(JSON.stringify({ type: 'worker_registration', workerId, features: ['request'], capabilities }));
  socket.on('message', (data) => {
    const { type, requestId, attempt, payload } = JSON.parse(data);
    if (type !== 'request') return;
    socket.send(JSON.stringify({ type: 'request_result', requestId, attempt, data: payload }));
  });
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function untilListening(port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
  }
}

/** The median and the 99th percentile of one call after another, in microseconds. */
async function latency(call) {
  for (let round = 0; round < WARM_UP; round += 1) await call();
  const times = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = process.hrtime.bigint();
    await call();
    times.push(Number(process.hrtime.bigint() - from) / 1_000);
  }
  times.sort((a, b) => a - b);
  return { p50: Math.round(times[ROUNDS / 2]), p99: Math.round(times[Math.floor(ROUNDS * 0.99)]) };
}

/** Calls a second with many under way, and what this process spends on one, in microseconds. */
async function throughput(call, seconds) {
  let count = 0;
  const until = Date.now() + seconds * 1_000;
  const cpu = process.cpuUsage();
  const loop = async () => {
    while (Date.now() < until) {
      await call();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, loop));
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: Math.round(count / seconds), cpuUs: Math.round((user + system) / count) };
}

async function main(seconds) {
  const natsPort = await freePort();
  const broker = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(natsPort)], { stdio: 'ignore' });
  await untilListening(natsPort);
  const { server, connection } = await startNode(natsPort, 'a');
  const other = fork(FILE, ['node', String(natsPort)]);
  const [{ port }] = await once(other, 'message');
  const workers = fork(FILE, ['workers', String(server.port), String(port)]);
  while (server.explain().workers.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  const payload = { prompt: 'x'.repeat(200) };
  const bytes = Buffer.from(JSON.stringify(payload));
  const calls = {
    'NATS request and reply': () => connection.request('echo', bytes),
    'request here': () => server.request(payload, { model: 'here' }),
    'request forwarded': () => server.request(payload, { model: 'there' }),
  };
  const rows = {};
  for (const [name, call] of Object.entries(calls)) rows[name] = { ...(await latency(call)) };
  for (const [name, call] of Object.entries(calls)) Object.assign(rows[name], await throughput(call, seconds));
  console.table(rows);
  const ratio = rows['request forwarded'].p50 / rows['NATS request and reply'].p50;
  console.log(`p50 of a forward: ${ratio.toFixed(2)} times that of NATS' own request and reply`);
  for (const child of [workers, other, broker]) child.kill();
  await server.stop();
  await connection.close();
}

if (role === 'node') {
  const { server, connection } = await startNode(Number(values[0]), 'b');
  connection.subscribe('echo', { callback: (_error, message) => message.respond(message.data) });
  process.send({ port: server.port });
} else if (role === 'workers') {
  await startWorker(Number(values[0]), 'here');
  await startWorker(Number(values[1]), 'there');
} else {
  await main(Number(role ?? 5));
}
