// What a request costs that goes to a worker of another node, beside one that stays and beside NATS' own request and reply,
// in one run: this process is the origin and its callers, a second one the other node, a third one has the workers. Then what
// the heartbeats of a large fleet cost one node.
//
//   npm run bench:cluster -- [--quick] [--seconds N] [--secret] [--only forwards | heartbeats]
//
// Without nats-server only the heartbeats are measured.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { heartbeatCost } from './support/cluster-heartbeats.mjs';

const require = createRequire(import.meta.url);
const { WorkerServer } = require('../index.js');
const { natsAdapter } = require('../lib/cluster');
const { startNatsIfInstalled } = require('../__test__/support/broker-process.js');
const { connect } = require('@nats-io/transport-node');
const { WebSocket } = require('ws');

const FILE = fileURLToPath(import.meta.url);
const CONCURRENCY = 500;
const [role, ...values] = process.argv.slice(2);

async function startNode(natsPort, nodeId, secret) {
  const connection = await connect({ servers: `127.0.0.1:${natsPort}`, maxReconnectAttempts: -1 });
  const cluster = { adapter: natsAdapter(connection), nodeId, secret };
  const server = new WorkerServer({ port: 0, host: '127.0.0.1', cluster });
  await server.start();
  return { server, connection };
}

/** A worker that answers at once. */
async function startWorker(port, workerId) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  await once(socket, 'open');
  const capabilities = { models: [{ modelId: workerId }], maxConcurrentRequests: CONCURRENCY };
  socket.send(JSON.stringify({ type: 'worker_registration', workerId, features: ['request'], capabilities }));
  socket.on('message', (data) => {
    const { type, requestId, attempt, payload } = JSON.parse(data);
    if (type !== 'request') return;
    socket.send(JSON.stringify({ type: 'request_result', requestId, attempt, data: payload }));
  });
  setInterval(() => {
    socket.send(JSON.stringify({ type: 'heartbeat', workerId, timestamp: new Date().toISOString() }));
  }, 5_000).unref();
}

/** The median and the 99th percentile of one call after another, in microseconds. */
async function latency(call, rounds) {
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    const from = process.hrtime.bigint();
    await call();
    times.push(Number(process.hrtime.bigint() - from) / 1_000);
  }
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.floor(rounds * part)]);
  return { p50: at(0.5), p99: at(0.99) };
}

/** The processor time of a process so far, in microseconds; NaN where there is no /proc. */
function cpuOf(pid) {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
    // A tick is 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return NaN;
  }
}

/** Calls a second with many under way, and what each process spends on one, in microseconds. */
async function throughput(call, seconds, processes) {
  let count = 0;
  const before = Object.values(processes).map(cpuOf);
  const from = performance.now();
  const until = from + seconds * 1_000;
  const loop = async () => {
    while (performance.now() < until) {
      await call();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, loop));
  const row = { 'a second': Math.round((count / (performance.now() - from)) * 1_000) };
  for (const [at, [name, pid]] of Object.entries(processes).entries()) {
    row[`${name} µs`] = Number(((cpuOf(pid) - before[at]) / count).toFixed(1));
  }
  return row;
}

async function forwards({ seconds, rounds, secret }) {
  const broker = await startNatsIfInstalled();
  if (broker === null) {
    console.log('no forwards are measured, since nats-server is not installed');
    return;
  }
  const natsPort = broker.port;
  const { server, connection } = await startNode(natsPort, 'a', secret);
  const other = fork(FILE, ['node', String(natsPort), secret ?? '']);
  const [{ port }] = await once(other, 'message');
  const workers = fork(FILE, ['workers', String(server.port), String(port)]);
  while (server.explain().workers.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  const payload = { prompt: 'x'.repeat(200) };
  const bytes = Buffer.from(JSON.stringify(payload));
  const calls = {
    'NATS request and reply': () => connection.request('echo', bytes),
    'request here': () => server.request(payload, { model: 'near' }),
    'request to the other node': () => server.request(payload, { model: 'far' }),
  };
  const processes = { origin: process.pid, owner: other.pid, broker: broker.pid, workers: workers.pid };
  const rows = {};
  for (const call of Object.values(calls)) await latency(call, rounds);
  for (const [name, call] of Object.entries(calls)) rows[name] = await latency(call, rounds);
  for (const [name, call] of Object.entries(calls))
    Object.assign(rows[name], await throughput(call, seconds, processes));
  console.table(rows);
  const ratio = rows['request to the other node'].p50 / rows['NATS request and reply'].p50;
  console.log(`p50 of a forward: ${ratio.toFixed(2)} times that of NATS' own request and reply\n`);
  await server.stop();
  await connection.close();
  for (const child of [workers, other]) {
    const gone = once(child, 'exit');
    child.disconnect();
    await gone;
  }
  await broker.close();
}

function heartbeats(rounds) {
  const rows = {};
  for (const nodes of [10, 100]) {
    for (const [name, changing, secret] of [
      ['a tenth of the loads changes', 0.1],
      ['all loads change', 1],
      ['all loads change, signed', 1, 'secret'],
    ]) {
      const { cpu, bytes } = heartbeatCost({ nodes, models: 100, changing, secret, rounds });
      rows[`${nodes} nodes, ${name}`] = {
        '% of a core': Number((100 * cpu).toFixed(2)),
        'bytes of a heartbeat': bytes,
      };
    }
  }
  console.table(rows);
}

// So that a profile of it is written.
if (process.send !== undefined) process.on('disconnect', () => process.exit());

if (role === 'node') {
  const { server, connection } = await startNode(Number(values[0]), 'b', values[1] || undefined);
  connection.subscribe('echo', { callback: (_error, message) => message.respond(message.data) });
  process.send({ port: server.port });
} else if (role === 'workers') {
  await startWorker(Number(values[0]), 'near');
  await startWorker(Number(values[1]), 'far');
} else {
  const { values: given } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      seconds: { type: 'string' },
      secret: { type: 'boolean' },
      only: { type: 'string' },
    },
  });
  const isQuick = given.quick === true;
  const seconds = Number(given.seconds ?? (isQuick ? 0.3 : 5));
  const secret = given.secret ? 'secret' : undefined;
  if (given.only !== 'heartbeats') await forwards({ seconds, rounds: isQuick ? 50 : 3_000, secret });
  if (given.only !== 'forwards') heartbeats(isQuick ? 2 : 20);
}
