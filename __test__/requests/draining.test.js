'use strict';

// Workers that change, and leaving in peace. Several names are those of bugs that others shipped here.

const { createServer, nextCall, startServer, until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const statusOf = (server) => server.getWorkerInfo()[0].status;

async function sayStatus(worker, status, reason) {
  worker.send({ type: 'worker_status', status, reason });
  return worker.next('worker_status_ack');
}

test('a worker that says it drains gets nothing new from the ack on, and is available again when it says so', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const updates = [];
  server.onWorkerUpdated(({ status }, change) => updates.push([status, change]));
  expect(await sayStatus(worker, 'draining', 'SIGTERM')).toEqual({ type: 'worker_status_ack', status: 'draining' });
  expect([statusOf(server), server.getAvailableWorker('m'), server.getAvailableSlotCount('m')]).toEqual([
    'draining',
    null,
    0,
  ]);
  const answer = server.request({});
  await worker.sync();
  expect(worker.frames.some((text) => text.includes('"type":"request"'))).toBe(false);
  expect((await sayStatus(worker, 'available')).status).toBe('available');
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
  expect(updates.map(([, change]) => change)).toEqual(['status', 'status']);
  expect(log.contexts('Worker status changed')[0]).toEqual({ workerId: 'w', status: 'draining', reason: 'SIGTERM' });
});

test('the same status again is acknowledged, and no event', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const updated = jest.fn();
  server.onWorkerUpdated(updated);
  await sayStatus(worker, 'available');
  await sayStatus(worker, 'draining');
  expect((await sayStatus(worker, 'draining')).status).toBe('draining');
  expect(updated).toHaveBeenCalledTimes(1);
});

test('a heartbeat does not undo the drain', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  await sayStatus(worker, 'draining');
  await worker.heartbeat();
  expect(statusOf(server)).toBe('draining');
});

test('nor do requests that begin and end', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answer = server.request({});
  const request = await worker.nextRequest();
  await sayStatus(worker, 'draining');
  expect(statusOf(server)).toBe('draining');
  server.trackRequest('w', 'own');
  worker.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
  server.releaseRequest('own');
  expect(statusOf(server)).toBe('draining');
});

test('the last heartbeat is recorded while draining', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  await sayStatus(worker, 'draining');
  const before = server.getWorkerInfo()[0].lastHeartbeat.getTime();
  await new Promise((resolve) => setTimeout(resolve, 5));
  await worker.heartbeat();
  expect(server.getWorkerInfo()[0].lastHeartbeat.getTime()).toBeGreaterThan(before);
});

test('one that is silent is unhealthy, and draining again at its next heartbeat', async () => {
  const { server } = await startServer({ heartbeatTimeoutMs: 100, healthCheckIntervalMs: 10 });
  const worker = await connectRequestWorker(server);
  await sayStatus(worker, 'draining');
  await until(() => statusOf(server) === 'unhealthy');
  await worker.heartbeat();
  expect(statusOf(server)).toBe('draining');
});

test('a worker drains while either mark is set; with both gone it is available, or busy at capacity', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  await sayStatus(worker, 'draining');
  expect(server.setWorkerStatus('w', 'draining')).toBe(true);
  expect((await sayStatus(worker, 'available')).status).toBe('draining');
  server.trackRequest('w', 'own');
  expect(server.setWorkerStatus('w', 'available')).toBe(true);
  expect(statusOf(server)).toBe('busy');
  server.releaseRequest('own');
  expect(statusOf(server)).toBe('available');
});

test('setWorkerStatus: a drain is immediate, of an unknown id false, of a wrong status a TypeError', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  expect(server.setWorkerStatus('w', 'draining')).toBe(true);
  expect(server.getAvailableWorker('m')).toBeNull();
  expect(server.setWorkerStatus('nobody', 'draining')).toBe(false);
  for (const status of ['busy', null, undefined, 7])
    expect(() => server.setWorkerStatus('w', status)).toThrow(TypeError);
});

test.each([[null], [undefined], [7], [{}]])('a worker id %j is a TypeError that names it', async (workerId) => {
  const { server } = await startServer();
  expect(() => server.setWorkerStatus(workerId, 'draining')).toThrow(/^workerId must be a string/);
  expect(() => server.disconnectWorker(workerId)).toThrow(/^workerId must be a string/);
});

test('a new session starts without a mark', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server);
  server.setWorkerStatus('w', 'draining');
  await connectRequestWorker(server);
  expect(statusOf(server)).toBe('available');
});

test('an update replaces capabilities whole, in the same session, with a new object', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const [before] = server.getWorkerInfo();
  const updated = nextCall((handler) => server.onWorkerUpdated(handler));
  const capabilities = { models: [{ modelId: 'n', extra: 1 }], maxConcurrentRequests: 3, metadata: { gpu: 'a' } };
  worker.send({ type: 'worker_update', capabilities });
  expect(await worker.next('worker_update_ack')).toEqual({ type: 'worker_update_ack', success: true });
  const [info, change] = await updated;
  expect([info.capabilities, info.sessionId, change]).toEqual([capabilities, before.sessionId, 'capabilities']);
  expect(before.capabilities.models[0].modelId).toBe('m');
  expect([server.getAvailableWorker('m'), server.getAvailableSlotCount('n')]).toEqual([null, 3]);
  expect(log.contexts('Worker capabilities changed')).toEqual([{ workerId: 'w' }]);
});

test('freed slots are given away before onWorkerUpdated runs', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const seen = [];
  server.onWorkerUpdated(() => seen.push('updated'));
  server.request({}, { model: 'n', onStarted: () => seen.push('started') }).catch(() => {});
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['n'], 1) });
  await worker.nextRequest();
  await worker.sync();
  expect(seen).toEqual(['started', 'updated']);
});

test('active above the new capacity: busy, and nothing is cancelled', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 2 });
  const answers = [server.request(1), server.request(2)];
  const requests = [await worker.nextRequest(), await worker.nextRequest()];
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['m'], 1) });
  await worker.next('worker_update_ack');
  expect(statusOf(server)).toBe('busy');
  for (const request of requests) worker.answer(request, 'result', { data: request.payload });
  expect(await Promise.all(answers)).toEqual([1, 2]);
  expect(worker.frames.some((text) => text.includes('request_cancel'))).toBe(false);
});

test.each([
  [undefined, 'Invalid update: capabilities: expected an object, got nothing'],
  [{ models: 7, maxConcurrentRequests: 1 }, 'Invalid update: capabilities.models: expected an array, got a number'],
  [
    { models: [], maxConcurrentRequests: -1 },
    'Invalid update: capabilities.maxConcurrentRequests: expected a finite number that is not negative, got -1',
  ],
])(
  'a wrong update %j is refused in a registration’s words, and the old capabilities stay',
  async (capabilities, error) => {
    const { server } = await startServer();
    const updated = jest.fn();
    server.onWorkerUpdated(updated);
    const worker = await connectRequestWorker(server);
    worker.send({ type: 'worker_update', capabilities });
    const ack = await worker.next('worker_update_ack');
    expect(ack.success).toBe(false);
    expect(ack.error).toMatch(/^Invalid update: capabilities/);
    if (capabilities !== undefined) expect(ack.error).toBe(error);
    expect(server.getAvailableSlotCount('m')).toBe(2);
    expect(updated).not.toHaveBeenCalled();
  },
);

test('disconnectWorker closes with its code and reason; the worker is closing at once, and leaves with its disconnected event', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { features: ['request', 'resume'] });
  const answer = rejection(server.request({}));
  await worker.nextRequest();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  expect(server.disconnectWorker('w', { code: 3500, reason: 'maintenance' })).toBe(true);
  expect(server.explain().workers).toEqual([{ id: 'w', takes: false, reason: 'closing' }]);
  expect([server.getAvailableWorker('m'), server.send('w', {})]).toEqual([null, false]);
  expect(await worker.closed).toEqual({ code: 3500, reason: 'maintenance' });
  expect((await left)[0].id).toBe('w');
  // It was sent away: nobody waits for it to resume.
  expect(await answer).toMatchObject({ code: 'WORKER_LOST' });
  expect(server.disconnectWorker('w')).toBe(false);
});

test('disconnectWorker by default is a 1000; wrong codes and reasons are TypeErrors', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  for (const options of [
    { code: 1001 },
    { code: 2999 },
    { code: 5000 },
    { code: '1000' },
    { reason: 7 },
    { reason: '€'.repeat(42) },
    null,
  ]) {
    expect(() => server.disconnectWorker('w', options)).toThrow(TypeError);
  }
  expect(server.disconnectWorker('w')).toBe(true);
  expect(await worker.closed).toEqual({ code: 1000, reason: '' });
});

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

test('an error in an updated handler is logged, and the others run', async () => {
  const { server, log } = await startServer();
  await connectRequestWorker(server);
  const second = jest.fn();
  server.onWorkerUpdated(() => {
    throw new Error('no');
  });
  const unsubscribe = server.onWorkerUpdated(second);
  server.setWorkerStatus('w', 'draining');
  expect(log.contexts('Error in updated handler')).toEqual([{ error: 'no' }]);
  unsubscribe();
  server.setWorkerStatus('w', 'available');
  expect(second).toHaveBeenCalledTimes(1);
});

test('a drain ends with the last caller, though a worker still has to confirm that it let go', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const controller = new AbortController();
  const order = [];
  const answer = rejection(server.request({}, { signal: controller.signal })).then(() => order.push('answer'));
  await worker.nextRequest();
  const drained = server.drain({ timeoutMs: Infinity }).then((result) => {
    order.push('drained');
    return result;
  });
  controller.abort();
  await answer;
  expect(await drained).toEqual({ drained: true, remaining: 0 });
  expect(server.getWorkerInfo()[0].activeRequests).toBe(1);
  expect(order[0]).toBe('answer');
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

test('worker_status and worker_update of a worker without the feature are the application’s', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'plain', { capabilities: capabilitiesOf(['m'], 1) });
  const seen = [];
  for (const type of ['worker_status', 'worker_update']) {
    server.onWorkerMessage(type, (_worker, message) => seen.push(message.type));
  }
  worker.send({ type: 'worker_status', status: 'draining' });
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['n'], 1) });
  await worker.sync();
  expect(seen).toEqual(['worker_status', 'worker_update']);
  expect([statusOf(server), server.getAvailableWorker('m')?.id]).toEqual(['available', 'plain']);
});

test('any message makes an unhealthy worker with the feature available again', async () => {
  const { server } = await startServer({ heartbeatTimeoutMs: 100, healthCheckIntervalMs: 10 });
  const worker = await connectRequestWorker(server);
  await until(() => statusOf(server) === 'unhealthy');
  worker.send({ type: 'anything' });
  await worker.sync();
  expect(statusOf(server)).toBe('available');
  expect(worker.frames.some((text) => text.includes('heartbeat_ack'))).toBe(false);
});

test('setWorkerStatus is logged, without a reason', async () => {
  const { server, log } = await startServer();
  await connectRequestWorker(server);
  server.setWorkerStatus('w', 'draining');
  server.setWorkerStatus('w', 'available');
  expect(log.contexts('Worker status changed')).toEqual([
    { workerId: 'w', status: 'draining', reason: undefined },
    { workerId: 'w', status: 'available', reason: undefined },
  ]);
});
