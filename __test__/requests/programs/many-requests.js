'use strict';

// A server and a worker that answers at once: reports by how much the heap has grown with a number of requests, streams and
// cancelled ones.

const v8 = require('v8');
const vm = require('vm');
const WebSocket = require('ws');
const { WorkerServer } = require('../../support/package');

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

const [count] = process.argv.slice(2).map(Number);
const WARM_UP = 5_000;
const TOGETHER = 500;

const REGISTRATION = {
  type: 'worker_registration',
  workerId: 'w',
  workerName: 'w',
  features: ['request'],
  capabilities: {
    models: [{ modelId: 'm', displayName: 'm', maxContextTokens: 1, maxOutputTokens: 1, supportsStreaming: true }],
    maxConcurrentRequests: TOGETHER / 2,
  },
};

async function connect(server) {
  const ws = new WebSocket(`ws://localhost:${server.port}/`);
  await new Promise((resolve) => ws.once('open', resolve));
  ws.send(JSON.stringify(REGISTRATION));
  await new Promise((resolve) => ws.once('message', resolve));
  ws.on('message', (data) => {
    const { type, requestId, attempt } = JSON.parse(data);
    const answer = { request: 'request_result', request_cancel: 'request_error' }[type];
    ws.send(JSON.stringify({ type: answer, requestId, attempt }));
  });
}

async function ask(server, number) {
  const payload = { number };
  if (number % 10 === 0) {
    const stream = server.stream(payload, { model: 'm' });
    stream.cancel(new Error('no longer wanted'));
    await stream.result.catch(() => {});
  } else if (number % 10 === 1) {
    await server.stream(payload, { model: 'm', signal: new AbortController().signal }).result;
  } else {
    await server.request(payload, { model: 'm' });
  }
}

/** The heap in use after `count` requests, half of which have to wait. */
async function heapAfter(server, requests) {
  for (let begun = 0; begun < requests; begun += TOGETHER) {
    await Promise.all(Array.from({ length: TOGETHER }, (_, index) => ask(server, begun + index)));
  }
  for (let turn = 0; turn < 5; turn += 1) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}

(async () => {
  const server = new WorkerServer({ port: 0 });
  await server.start();
  await connect(server);
  const before = await heapAfter(server, WARM_UP);
  const after = await heapAfter(server, count);
  const { activeRequests } = server.getWorkerInfo()[0];
  console.log(JSON.stringify({ grown: after - before, waiting: server.getQueueInfo().size, activeRequests }));
  process.exit(0);
})();
