'use strict';

// How much of the log peers can fill: a hundred lines a second of a kind, then one that says how many more there were. What
// the application must know of workers that join, leave and fall silent is logged without exception.

const { once } = require('node:events');
const WebSocket = require('ws');
const { openaiGateway } = require('../../lib/gateway/index.js');
const { statusPage } = require('../../lib/status/index.js');
const { request } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { startServer, nextCall } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');

const SUPPRESSED = 'Log lines suppressed';
const PER_SECOND = 100;
const clients = new Set();

afterEach(() => {
  for (const ws of clients) ws.terminate();
  clients.clear();
});

/** What became of the lines with a message, once `total` of them were written or summed up. */
async function tally(log, message, total) {
  const summaries = () => log.lines.filter((line) => line.message === SUPPRESSED && line.context.message === message);
  const written = () => log.lines.filter((line) => line.message === message);
  const leftOut = () => summaries().reduce((sum, { context }) => sum + context.count, 0);
  await log.until(() => written().length + leftOut() >= total);
  expect(written().length + leftOut()).toBe(total);
  expect(written().length).toBeGreaterThanOrEqual(Math.min(total, PER_SECOND));
  // However long it took: no second has more than its share.
  expect(written().length).toBeLessThanOrEqual(PER_SECOND * (summaries().length + 1));
  return { written: written(), summaries: summaries(), leftOut: leftOut() };
}

test('a flood of unknown types is logged in part, the rest is counted, and a worker beside it notices nothing', async () => {
  const { server, log } = await startServer();
  const flooder = await connectWorker(server, 'flooder');
  const worker = await connectWorker(server, 'worker');
  server.onWorkerMessage('echo', ({ id }, { n }) => server.send(id, { type: 'echo', n }));
  for (let n = 0; n < 3_000; n += 1) flooder.send({ type: 'unknown', n });
  worker.send({ type: 'echo', n: 1 });
  expect(await worker.next('echo')).toEqual({ type: 'echo', n: 1 });
  expect((await worker.heartbeat()).type).toBe('heartbeat_ack');
  const { written, summaries, leftOut } = await tally(log, 'Unhandled message type from worker', 3_000);
  expect(written[0]).toEqual({
    level: 'warn',
    message: 'Unhandled message type from worker',
    context: { type: 'unknown' },
  });
  expect(leftOut).toBeGreaterThan(0);
  for (const { level, context } of summaries) {
    expect(level).toBe('warn');
    expect(context).toEqual({ message: 'Unhandled message type from worker', count: expect.any(Number) });
  }
});

test.each([
  ['bad JSON', '{', 'Invalid JSON message from worker'],
  ['messages without a type', '{}', 'Message missing type field'],
  ['heartbeats from unknown workers', '{"type":"heartbeat","workerId":"?"}', 'Heartbeat from unknown worker'],
])('a flood of %s is logged in part, and the rest is counted', async (_, text, message) => {
  const { server, log } = await startServer();
  const flooder = await connect(server);
  for (let n = 0; n < 3_000; n += 1) flooder.sendText(text);
  const { leftOut } = await tally(log, message, 3_000);
  expect(leftOut).toBeGreaterThan(0);
});

test('kinds are counted by themselves: one that is left out hides no other', async () => {
  const { server, log } = await startServer();
  const client = await connect(server);
  for (let n = 0; n < 500; n += 1) client.sendText('{');
  client.send({ type: 'heartbeat', workerId: 'nobody' });
  client.send({ type: 'unknown' });
  expect((await log.line('Heartbeat from unknown worker')).context).toEqual({ workerId: 'nobody' });
  await log.line('Unhandled message type from worker');
});

test('of a storm of connections every worker that comes and goes is logged, and strangers in part', async () => {
  const { server, log } = await startServer();
  const many = 150;
  const workers = await Promise.all(Array.from({ length: many }, (_, n) => connectWorker(server, `w${n}`)));
  expect(log.contexts('Worker registered')).toHaveLength(many);
  await tally(log, 'New WebSocket connection from potential worker', many);
  await Promise.all(workers.map((worker) => worker.close()));
  await log.until(() => log.contexts('Worker disconnected').length === many);
  const strangers = await Promise.all(Array.from({ length: many }, () => connect(server)));
  await Promise.all(strangers.map((stranger) => stranger.close()));
  await tally(log, 'Unregistered WebSocket connection closed', many);
});

/** What a handler throws that peers call as often as they like. */
const fail = () => {
  throw new Error('of the application');
};

/** Sends `count` HTTP requests to a path, and awaits their answers. */
const ask = (port, count, path = '/') => Promise.all(Array.from({ length: count }, () => request(port, { path })));

describe('errors of the application that peers cause are logged in part, and the rest is counted', () => {
  const many = 150;

  test('of a message handler', async () => {
    const { server, log } = await startServer();
    server.onWorkerMessage('bad', fail);
    const worker = await connectWorker(server);
    for (let n = 0; n < many; n += 1) worker.send({ type: 'bad' });
    const { written } = await tally(log, 'Error in message handler', many);
    expect(written[0].context).toEqual({ type: 'bad', error: 'of the application' });
  });

  test('of an updated handler', async () => {
    const { server, log } = await startServer();
    server.onWorkerUpdated(fail);
    const worker = await connectRequestWorker(server);
    for (let n = 0; n < many; n += 1)
      worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['m'], n + 1) });
    await tally(log, 'Error in updated handler', many);
  });

  test('of a callback that a worker reports progress to', async () => {
    const { server, log } = await startServer();
    const worker = await connectRequestWorker(server);
    const promise = server.request({}, { onProgress: fail });
    const taken = await worker.nextRequest();
    for (let n = 0; n < many; n += 1) worker.answer(taken, 'progress', { data: n });
    worker.answer(taken, 'result');
    await promise;
    await tally(log, 'Error in request callback', many);
  });

  test('of an HTTP handler', async () => {
    const { port, log } = await startServer({}, (server) => server.addHttpHandler(fail));
    const responses = await ask(port, many);
    expect(responses.every(({ status }) => status === 500)).toBe(true);
    await tally(log, 'HTTP handler error', many);
  });

  test.each([
    ['the status page', statusPage, '/status'],
    ['the gateway', openaiGateway, '/v1/models'],
  ])('of `authenticate` of %s', async (_, handlerOf, path) => {
    const { port, log } = await startServer({}, (server) =>
      server.addHttpHandler(handlerOf(server, { authenticate: fail })),
    );
    const responses = await ask(port, many, path);
    expect(responses.every(({ status }) => status === 401)).toBe(true);
    await tally(log, 'Error in authenticate', many);
  });
});

test('every error of handlers of workers that join and leave is logged', async () => {
  const { server, log } = await startServer();
  server.onWorkerConnected(fail);
  server.onWorkerDisconnected(fail);
  const many = 150;
  const workers = await Promise.all(Array.from({ length: many }, (_, n) => connectWorker(server, `w${n}`)));
  await Promise.all(workers.map((worker) => worker.close()));
  await log.until(() => log.contexts('Error in disconnected handler').length === many);
  expect(log.contexts('Error in connected handler')).toHaveLength(many);
});

test('broken frames at an endpoint, and errors of its handler, are logged in part', async () => {
  const { server, log } = await startServer();
  const many = 120;
  server.addWebSocketEndpoint('/e', fail);
  const open = async () => {
    const ws = new WebSocket(`ws://localhost:${server.port}/e`);
    clients.add(ws);
    ws.on('error', () => {});
    await once(ws, 'open');
    return ws;
  };
  const sockets = await Promise.all(Array.from({ length: many }, open));
  await tally(log, 'WebSocket server error', many);
  // A text frame with a byte that is no UTF-8.
  for (const ws of sockets) ws._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
  await Promise.all(sockets.map((ws) => once(ws, 'close')));
  await tally(log, 'WebSocket server error', 2 * many);
});

test('the count comes without anything else happening, even if JavaScript was busy meanwhile', async () => {
  const { server, log } = await startServer();
  const flooder = await connect(server);
  for (let n = 0; n < 400; n += 1) flooder.sendText('{');
  await log.line('Invalid JSON message from worker');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_100);
  await tally(log, 'Invalid JSON message from worker', 400);
});

test('a server that starts again counts anew', async () => {
  const { server, log } = await startServer();
  const flooder = await connect(server);
  for (let n = 0; n < 300; n += 1) flooder.sendText('{');
  await log.until(() => log.contexts('Invalid JSON message from worker').length === PER_SECOND);
  await server.stop();
  const before = log.contexts('Invalid JSON message from worker').length;
  await server.start();
  const connected = nextCall((handler) => server.onWorkerConnected(handler));
  const client = await connect(server);
  client.sendText('{');
  client.register('w');
  await connected;
  expect(log.contexts('Invalid JSON message from worker')).toHaveLength(before + 1);
});
