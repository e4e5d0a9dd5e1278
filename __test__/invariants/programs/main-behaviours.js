'use strict';

// What a server does for its workers, printed line by line. The same lines are to come whether JavaScript and the addon share memory
// (the first line) or not.

const { once } = require('node:events');
const WebSocket = require('ws');
const { WorkerServer } = require('../../../index.js');
const { MEMORY_IS_SHARED } = require('../../../lib/native/shared-memory.js');

const MODEL = 'model-a';
const say = (...what) =>
  console.log(what.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
const brief = (info) =>
  info && [
    info.id,
    info.status,
    info.activeRequests,
    info.completedRequests,
    [...info.pendingRequestIds],
    [...info.categoryActiveRequests],
  ];

async function connect(server, workerId, concurrencyLimits) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
  ws.received = [];
  ws.on('message', (data) => ws.received.push(JSON.parse(String(data))));
  await once(ws, 'open');
  const capabilities = { models: [{ modelId: MODEL }], maxConcurrentRequests: 2, concurrencyLimits };
  ws.send(JSON.stringify({ type: 'worker_registration', workerId, workerName: workerId, capabilities }));
  await once(ws, 'message');
  return ws;
}

const heard = (server, type) =>
  new Promise((resolve) => {
    const off = server.onWorkerMessage(type, (worker) => {
      off();
      resolve(worker);
    });
  });

async function main() {
  say('memory is', MEMORY_IS_SHARED ? 'shared' : 'copied');
  const server = new WorkerServer({ port: 0 });
  server.onWorkerConnected((info) => say('connected', brief(info)));
  const gone = new Promise((resolve) =>
    server.onWorkerDisconnected((info, pending) => {
      say('disconnected', brief(info), [...pending]);
      resolve();
    }),
  );
  await server.start();
  const a = await connect(server, 'a', { chat: 1 });
  const b = await connect(server, 'b');

  say('selected', brief(server.getAvailableWorker(MODEL)), brief(server.getAnyAvailableWorker()));
  server.trackRequest('a', 'r1', 'chat');
  say(
    'tracked',
    brief(server.getAvailableWorker(MODEL)),
    server.getAvailableSlotCount(MODEL),
    server.getAvailableSlotCount(MODEL, 'chat'),
  );
  server.trackRequest('b', 'r2');
  server.trackRequest('b', 'r3');
  say(
    'limited',
    brief(server.getAvailableWorker(MODEL, 'chat')),
    brief(server.getAvailableWorker(MODEL)),
    server.getAvailableWorkerCount(),
  );
  server.releaseRequest('r1', { incrementCompleted: true });
  server.releaseRequest('r2');
  say('released', server.getWorkerInfo().map(brief));
  // More than are noted before they must be taken.
  for (let n = 0; n < 2000; n += 1) server.trackRequest('a', `many ${n}`, n % 2 ? 'chat' : undefined);
  for (let n = 1; n < 2000; n += 1) server.releaseRequest(`many ${n}`, { incrementCompleted: n % 3 === 0 });
  say('counted', server.getWorkerInfo().map(brief));
  b.send('{"type":"heard"}');
  say('message of', brief(await heard(server, 'heard')));

  // In one turn, and in the next, so that they are collected; short, long, and in pieces.
  for (let turn = 0; turn < 3; turn += 1) {
    for (let n = 0; n < 200; n += 1) {
      if (!server.send(n % 2 ? 'a' : 'b', { n, text: 'é'.repeat(n % 10) })) say('not sent', n);
    }
    if (!server.send('a', { long: 'x'.repeat(20_000) })) say('the long one was not sent');
    await new Promise((resolve) => setImmediate(resolve));
  }
  server.broadcast({ type: 'last' });
  for (const ws of [a, b]) while (ws.received.at(-1)?.type !== 'last') await once(ws, 'message');
  say(
    'arrived',
    [a, b].map(({ received }) => [
      received.length,
      received
        .filter(({ n }) => n !== undefined)
        .map(({ n }) => n)
        .join('').length,
    ]),
  );
  say('to nobody', server.send('c', {}));

  b.close();
  await gone;
  say('left', server.getWorkerCount(), brief(server.getAvailableWorker(MODEL)));
  await server.stop();
}

main();
