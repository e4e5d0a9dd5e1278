'use strict';

// A server that makes many requests of every kind, and says by how much its heap has grown meanwhile. Needs --expose-gc.

const { setTimeout: sleep } = require('node:timers/promises');
const WebSocket = require('ws');
const { WorkerServer } = require('../../support/package');
const { registration } = require('../../support/raw');

const WARM_UP = 10_000;
const REQUESTS = 50_000;
const TOGETHER = 200;
const FEATURES = ['request', 'resume'];

/** A worker that does with each request what its payload says. */
function serve(port, workerId) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
  const say = (message) => ws.send(JSON.stringify(message));
  ws.on('open', () => {
    const capabilities = { models: [{ modelId: 'm' }], maxConcurrentRequests: 50 };
    say(registration(workerId, { capabilities, features: FEATURES }));
  });
  ws.on('message', (data) => {
    const { type, requestId, attempt, payload } = JSON.parse(data);
    if (type === 'request_cancel') say({ type: 'request_error', requestId, attempt, error: {} });
    if (type !== 'request' || payload.kind === 'silent') return;
    say({ type: 'request_ack', requestId, attempt });
    if (payload.kind === 'stream') {
      for (let seq = 0; seq < 3; seq += 1) say({ type: 'request_chunk', requestId, attempt, seq, data: seq });
    }
    if (payload.kind === 'error') say({ type: 'request_error', requestId, attempt, error: { message: 'no' } });
    else say({ type: 'request_result', requestId, attempt, data: payload });
  });
}

async function main() {
  const server = new WorkerServer({ port: 0, queue: { maxSize: 500 } });
  await server.start();
  serve(server.port, 'w1');
  serve(server.port, 'w2');
  while (server.getWorkerCount() < 2) await sleep(1);

  const lasting = new AbortController();
  const { signal } = lasting;
  const read = async (stream) => {
    for await (const chunk of stream) void chunk;
    return stream.result;
  };
  const kinds = [
    (number) => server.request({ kind: 'result', number }, { signal, model: 'm', fairKey: `key ${number}` }),
    (number) => server.request({ kind: 'error' }, { signal, affinity: `key ${number}` }),
    () => server.stream({ kind: 'stream' }, { signal }).result,
    () => read(server.stream({ kind: 'stream' })),
    () => server.request({ kind: 'silent' }, { timeoutMs: 2 }),
    () => server.request({ kind: 'silent' }, { signal: AbortSignal.timeout(1) }),
    (number) => server.request({}, { model: `nobody has ${number}`, queueTimeoutMs: 1, signal }),
    (number) => server.request({}, { where: { number }, queueTimeoutMs: 0 }),
  ];
  async function make(count) {
    for (let made = 0; made < count; made += TOGETHER) {
      const some = Array.from({ length: TOGETHER }, (_, number) => kinds[number % kinds.length](made + number));
      await Promise.allSettled(some);
    }
    const isIdle = () => server.getWorkerInfo().every(({ activeRequests }) => activeRequests === 0);
    while (!isIdle()) await sleep(1);
  }
  async function heapUsed() {
    for (let round = 0; round < 4; round += 1) {
      global.gc();
      await sleep(20);
    }
    return process.memoryUsage().heapUsed;
  }

  await make(WARM_UP);
  const before = await heapUsed();
  await make(REQUESTS);
  console.log(JSON.stringify({ grown: (await heapUsed()) - before, waiting: server.getQueueInfo().size }));
  process.exit(0);
}

main();
