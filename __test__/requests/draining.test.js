'use strict';

// drain(): a server that leaves in peace. Several names are those of bugs that others shipped here.

const { createServer, startServer } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

test('state says how far the server is', async () => {
  const { server } = createServer();
  const states = [server.state];
  const started = server.start();
  states.push(server.state);
  await started;
  states.push(server.state);
  server.trackRequest('nobody', 'x');
  const worker = await connectRequestWorker(server);
  server.request({}).catch(() => {});
  const drained = server.drain();
  states.push(server.state);
  worker.answer(await worker.nextRequest(), 'result');
  await drained;
  states.push(server.state);
  const stopped = server.stop();
  states.push(server.state);
  await stopped;
  states.push(server.state);
  expect(states).toEqual(['stopped', 'starting', 'running', 'draining', 'draining', 'stopping', 'stopped']);
});

test('a drain while the server starts, or does not run, changes nothing', async () => {
  const { server, log } = createServer();
  const nothing = { drained: true, remaining: 0 };
  expect(await server.drain()).toEqual(nothing);
  const started = server.start();
  const drained = server.drain();
  await started;
  expect([await drained, server.state]).toEqual([nothing, 'running']);
  const stopped = server.stop();
  expect([await server.drain(), server.state]).toEqual([nothing, 'stopping']);
  await stopped;
  expect(log.contexts('Server draining')).toEqual([]);
});

test('drain: workers are notified, new requests are refused, and those that wait keep their chance', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answers = [server.request(1), server.request(2)];
  const drained = server.drain({ timeoutMs: 5_000 });
  const told = await worker.next('server_draining');
  expect(told).toEqual({ type: 'server_draining', timeoutMs: 5_000, reconnectAfterMs: expect.any(Number) });
  expect(told.reconnectAfterMs).toBeGreaterThanOrEqual(0);
  expect(told.reconnectAfterMs).toBeLessThanOrEqual(5_000);
  expect(await rejection(server.request(3))).toMatchObject({ code: 'SERVER_STOPPING' });
  for (let count = 0; count < 2; count += 1) worker.answer(await worker.nextRequest(), 'result', { data: count });
  expect(await Promise.all(answers)).toEqual([0, 1]);
  expect(await drained).toEqual({ drained: true, remaining: 0 });
  expect(log.contexts('Server draining')).toEqual([{ timeoutMs: 5_000 }]);
  expect(server.getAvailableWorker('m').id).toBe('w');
});

test('graceful shutdown drops no request, and no tracked id is forgotten', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  server.trackRequest('w', 'own');
  let isOver = false;
  const drained = server.drain().then((result) => {
    isOver = true;
    return result;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(isOver).toBe(false);
  server.releaseRequest('own');
  expect(await drained).toEqual({ drained: true, remaining: 0 });
});

test('at the timeout it resolves with what remains; 0 is at once', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  server.request({}).catch(() => {});
  server.request({}).catch(() => {});
  await worker.nextRequest();
  expect(await server.drain({ timeoutMs: 0 })).toEqual({ drained: false, remaining: 2 });
  expect(await server.drain({ timeoutMs: 20 })).toEqual({ drained: false, remaining: 2 });
});

test('a signal rejects the call, and draining goes on; a second call joins with its own timeout', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answer = server.request({});
  const request = await worker.nextRequest();
  const controller = new AbortController();
  const first = server.drain({ timeoutMs: Infinity, signal: controller.signal });
  expect(await worker.next('server_draining')).toEqual({
    type: 'server_draining',
    reconnectAfterMs: expect.any(Number),
  });
  controller.abort('enough');
  await expect(first).rejects.toBe('enough');
  expect(server.state).toBe('draining');
  const second = server.drain();
  worker.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
  expect(await second).toEqual({ drained: true, remaining: 0 });
  await worker.sync();
  expect(worker.frames.filter((text) => text.includes('server_draining'))).toHaveLength(1);
});

test('while it drains upgrades of workers get 503 with Retry-After, open sockets may still register and are notified', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  server.trackRequest('w', 'own');
  const { connect } = require('../support/worker.js');
  const late = await connect(server);
  server.drain().catch(() => {});
  const refused = await new Promise((resolve) => {
    const { WebSocket } = require('ws');
    const ws = new WebSocket(`ws://localhost:${server.port}/`);
    ws.on('unexpected-response', (_req, res) => resolve(res));
    ws.on('error', () => {});
  });
  expect(refused.statusCode).toBe(503);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(0);
  refused.resume();
  const ack = await late.register('late', { capabilities: capabilitiesOf(['m'], 1), features: ['request'] });
  expect(ack.success).toBe(true);
  expect((await late.next('server_draining')).type).toBe('server_draining');
  server.releaseRequest('own');
  await worker.sync();
});

test('a server that is not running has drained', async () => {
  const { server } = createServer();
  expect(await server.drain()).toEqual({ drained: true, remaining: 0 });
});

test('stop ends a drain', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = rejection(server.request({}));
  await worker.nextRequest();
  const drained = server.drain({ timeoutMs: Infinity });
  await server.stop();
  expect(await drained).toMatchObject({ drained: expect.any(Boolean), remaining: expect.any(Number) });
  expect(await answer).toMatchObject({ code: 'SERVER_STOPPING' });
});

test('a drain ends with the last caller, though a worker still has to confirm that it let go', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const controller = new AbortController();
  const answer = rejection(server.request({}, { signal: controller.signal }));
  await worker.nextRequest();
  let hasEnded = false;
  const drained = server.drain({ timeoutMs: Infinity }).finally(() => {
    hasEnded = true;
  });
  await worker.next('server_draining');
  expect(hasEnded).toBe(false);
  controller.abort();
  expect(await drained).toEqual({ drained: true, remaining: 0 });
  expect(await answer).toMatchObject({ name: 'AbortError' });
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
});

test('while it drains HTTP goes on, and workers without the feature notice nothing', async () => {
  const { server } = await startServer();
  server.addHttpHandler((_req, res) => {
    res.end('served');
    return true;
  });
  const plain = await connectWorker(server, 'plain', { capabilities: capabilitiesOf(['m'], 1) });
  server.trackRequest('plain', 'own');
  const drained = server.drain();
  expect(await (await fetch(`http://localhost:${server.port}/`)).text()).toBe('served');
  await plain.sync();
  expect(plain.frames).toHaveLength(1);
  server.releaseRequest('own');
  expect(await drained).toEqual({ drained: true, remaining: 0 });
});

test.each([[{ timeoutMs: -1 }], [{ timeoutMs: NaN }], [{ timeoutMs: '1' }], [{ signal: {} }], [null]])(
  'drain(%j) rejects with a TypeError, and the server goes on',
  async (options) => {
    const { server } = await startServer();
    expect(await rejection(server.drain(options))).toBeInstanceOf(TypeError);
    expect(server.state).toBe('running');
  },
);
