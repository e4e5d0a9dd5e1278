'use strict';

// Signs of life, and what becomes of workers without.

const { startServer } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** A worker is unhealthy after 300 ms, and dead after 900. */
const IMPATIENT = { heartbeatTimeoutMs: 300, healthCheckIntervalMs: 20 };

test('a heartbeat is answered with its own timestamp and the next deadline', async () => {
  const { server } = await startServer({ heartbeatTimeoutMs: 45_000 });
  const worker = await connectWorker(server);
  const before = Date.now();
  const ack = await worker.heartbeat('2020-01-02T03:04:05.678Z');
  const after = Date.now();
  expect(Object.keys(ack)).toEqual(['type', 'timestamp', 'nextHeartbeatDeadline']);
  expect(ack.timestamp).toBe('2020-01-02T03:04:05.678Z');
  expect(ack.nextHeartbeatDeadline).toMatch(ISO);
  const deadline = Date.parse(ack.nextHeartbeatDeadline);
  expect(deadline).toBeGreaterThanOrEqual(before + 45_000 - 1);
  expect(deadline).toBeLessThanOrEqual(after + 45_000 + 1);
});

test.each([
  ['a number', '1700000000000'],
  ['null', 'null'],
  ['an object', '{"a":[1,2,"x"]}'],
  ['a text with escapes', '"\\"ü\\n"'],
  ['the empty text', '""'],
])('a timestamp that is %s comes back as it is', async (_, timestamp) => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  worker.sendText(`{"type":"heartbeat","workerId":"w","timestamp":${timestamp}}`);
  const ack = await worker.next('heartbeat_ack');
  expect(ack.timestamp).toEqual(JSON.parse(timestamp));
});

test('a heartbeat without a timestamp is answered without one', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  worker.send({ type: 'heartbeat', workerId: 'w' });
  expect(Object.keys(await worker.next('heartbeat_ack'))).toEqual(['type', 'nextHeartbeatDeadline']);
});

test('a heartbeat moves lastHeartbeat and nothing else', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const [before] = server.getWorkerInfo();
  await new Promise((resolve) => setTimeout(resolve, 5));
  await worker.heartbeat();
  const [after] = server.getWorkerInfo();
  expect(after.lastHeartbeat.getTime()).toBeGreaterThan(before.lastHeartbeat.getTime());
  expect({ ...after, lastHeartbeat: 0 }).toEqual({ ...before, lastHeartbeat: 0 });
  expect(after.connectedAt).toEqual(before.connectedAt);
});

test('an unknown id gets no answer and a warning', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  worker.send({ type: 'heartbeat', workerId: 'nobody', timestamp: 1 });
  await log.line('Heartbeat from unknown worker');
  await worker.heartbeat('after');
  expect(log.contexts('Heartbeat from unknown worker')).toEqual([{ workerId: 'nobody' }]);
  expect(worker.frames).toHaveLength(2);
});

test('a heartbeat before registration is one of an unknown worker', async () => {
  const { server, log } = await startServer();
  const client = await connect(server);
  client.send({ type: 'heartbeat', workerId: 'w', timestamp: 1 });
  expect((await log.line('Heartbeat from unknown worker')).context).toEqual({ workerId: 'w' });
  expect((await client.register('w')).success).toBe(true);
  expect(client.frames).toHaveLength(1);
});

test('a heartbeat is looked up by the id it names, on any connection', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'a');
  const b = await connectWorker(server, 'b');
  const last = (id) =>
    server
      .getWorkerInfo()
      .find((info) => info.id === id)
      .lastHeartbeat.getTime();
  const [beforeA, beforeB] = [last('a'), last('b')];
  await new Promise((resolve) => setTimeout(resolve, 5));
  const ack = await b.heartbeat('from b', 'a');
  expect(ack.timestamp).toBe('from b');
  expect(last('a')).toBeGreaterThan(beforeA);
  expect(last('b')).toBe(beforeB);
});

test('a worker that is silent is unhealthy, with one warning', async () => {
  const { server, log } = await startServer(IMPATIENT);
  await connectWorker(server, 'w');
  const { level, context } = await log.line('Worker heartbeat timeout');
  expect(level).toBe('warn');
  expect(Object.keys(context)).toEqual(['workerId', 'timeSinceHeartbeat', 'threshold']);
  expect(context).toMatchObject({ workerId: 'w', threshold: 300 });
  expect(context.timeSinceHeartbeat).toBeGreaterThan(300);
  expect(server.getWorkerInfo()[0].status).toBe('unhealthy');
  expect(server.getAvailableWorker('model-a')).toBeNull();
  expect(server.getAnyAvailableWorker()).toBeNull();
  expect(server.getAvailableSlotCount('model-a')).toBe(0);
  expect([server.getWorkerCount(), server.getAvailableWorkerCount()]).toEqual([1, 0]);
  await log.line('Worker disconnected');
  expect(log.contexts('Worker heartbeat timeout')).toHaveLength(1);
});

test('after three times the timeout it is closed with 4003', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 60, healthCheckIntervalMs: 15 });
  const worker = await connectWorker(server, 'w');
  server.trackRequest('w', 'r1');
  const left = new Promise((resolve) => server.onWorkerDisconnected((info, pending) => resolve([info, pending])));
  expect(await worker.closed).toEqual({ code: 4003, reason: 'Heartbeat timeout' });
  const [info, pending] = await left;
  expect(info).toMatchObject({ id: 'w', status: 'unhealthy' });
  expect([...pending]).toEqual(['r1']);
  expect(log.contexts('Worker connection presumed dead, closing')).toEqual([{ workerId: 'w' }]);
  expect(server.getWorkerCount()).toBe(0);
});

test('a heartbeat of an unhealthy worker makes it available', async () => {
  const { server, log } = await startServer(IMPATIENT);
  const worker = await connectWorker(server, 'w');
  await log.line('Worker heartbeat timeout');
  await worker.heartbeat();
  expect(server.getWorkerInfo()[0].status).toBe('available');
  expect(server.getAvailableWorker('model-a').id).toBe('w');
});

test('a heartbeat of an unhealthy worker at capacity makes it busy', async () => {
  const { server, log } = await startServer(IMPATIENT);
  const worker = await connectWorker(server, 'w', { capabilities: capabilitiesOf(['model-a'], 1) });
  server.trackRequest('w', 'r1');
  await log.line('Worker heartbeat timeout');
  expect(server.getWorkerInfo()[0].status).toBe('unhealthy');
  await worker.heartbeat();
  expect(server.getWorkerInfo()[0].status).toBe('busy');
  server.releaseRequest('r1');
  expect(server.getWorkerInfo()[0].status).toBe('available');
});

test('a worker that turns silent again is warned of again', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 100, healthCheckIntervalMs: 15 });
  const worker = await connectWorker(server, 'w');
  await log.line('Worker heartbeat timeout');
  await worker.heartbeat();
  await log.line('Worker heartbeat timeout', () => log.contexts('Worker heartbeat timeout').length === 2);
});

test('other messages are no sign of life', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 60, healthCheckIntervalMs: 15 });
  server.onWorkerMessage('chatter', () => {});
  const worker = await connectWorker(server, 'w');
  const chatter = setInterval(() => worker.send({ type: 'chatter' }), 10);
  expect((await worker.closed).code).toBe(4003);
  clearInterval(chatter);
  await log.line('Worker disconnected');
});

test('workers with signs of life stay while a silent one goes', async () => {
  const { server, log } = await startServer(IMPATIENT);
  const lively = await connectWorker(server, 'lively');
  const silent = await connectWorker(server, 'silent');
  const beat = setInterval(() => lively.heartbeat(), 40);
  expect((await silent.closed).code).toBe(4003);
  clearInterval(beat);
  await log.line('Worker disconnected');
  expect(server.getWorkerInfo().map(({ id, status }) => [id, status])).toEqual([['lively', 'available']]);
});

test('who is presumed dead leaves when it is judged, though it answers no close frame', async () => {
  const { server, log } = await startServer(IMPATIENT);
  const ended = new Promise((resolve) => {
    server.onWorkerDisconnected((...event) => resolve([...event, server.getWorkerCount()]));
  });
  const worker = await connectWorker(server, 'w');
  server.trackRequest('w', 'r1');
  worker.ws.pause();
  const [{ id, status }, pending, count] = await ended;
  expect([id, status, [...pending], count]).toEqual(['w', 'unhealthy', ['r1'], 0]);
  expect(log.contexts('Worker disconnected')).toEqual([{ workerId: 'w', code: 4003, reason: 'Heartbeat timeout' }]);
  worker.ws.resume();
  expect(await worker.closed).toEqual({ code: 4003, reason: 'Heartbeat timeout' });
  // It may come again at once.
  expect((await (await connectWorker(server, 'w')).ack).success).toBe(true);
  expect(log.contexts('Worker disconnected')).toHaveLength(1);
  expect(log.contexts('Unregistered WebSocket connection closed')).toEqual([]);
});
