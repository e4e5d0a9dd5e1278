'use strict';

// The workers live in another process, so that they go on while this one's event loop is blocked.

const { startServer, until } = require('../support/server');
const { startFleet, startFlood, signalFile, blockUntilFile, block } = require('../support/fleet');
const { openWorker } = require('../support/socket');

test('I4: while the event loop is blocked for 3 seconds, heartbeats are answered and no worker turns unhealthy', async () => {
  const { server, port, log } = await startServer({ heartbeatTimeoutMs: 1000, healthCheckIntervalMs: 100 });
  const count = 50;
  const fleet = await startFleet(port, { count, heartbeatMs: 200 });
  const file = signalFile();
  await fleet.ask('count', { type: 'heartbeat_ack', each: 10, file });
  // Each worker gets ten acknowledgements although this thread does nothing.
  expect(blockUntilFile(file, { ms: 3000 })).toBe(String(count));
  const asked = Date.now();
  const workers = server.getWorkerInfo();
  expect(workers).toHaveLength(count);
  expect(workers.filter((worker) => worker.status !== 'available')).toEqual([]);
  // The queries know the heartbeats that came meanwhile, too.
  expect(workers.filter((worker) => asked - worker.lastHeartbeat.getTime() > 1000)).toEqual([]);
  expect(server.getAvailableWorker('model')).not.toBeNull();
  expect(await fleet.ask('report')).toEqual({ open: count, closed: [] });
  expect(log.lines.filter((line) => line.level === 'warn')).toEqual([]);
}, 40000);

test('I4: a silent worker is judged so while the event loop is blocked, and is closed', async () => {
  const { server, port, log } = await startServer({ heartbeatTimeoutMs: 200, healthCheckIntervalMs: 20 });
  const fleet = await startFleet(port, { count: 1 });
  expect(server.getWorkerInfo()[0].status).toBe('available');
  for (let i = 0; i < 1000 && server.getWorkerInfo()[0].status === 'available'; i += 1) block(10);
  expect(server.getWorkerInfo()[0].status).toBe('unhealthy');
  expect(server.getAvailableWorker('model')).toBeNull();
  for (let i = 0; i < 1000 && server.send('fleet-0', { type: 'work' }); i += 1) block(10);
  expect(server.send('fleet-0', { type: 'work' })).toBe(false);
  expect(server.getWorkerCount()).toBe(1);
  await until(() => server.getWorkerCount() === 0);
  expect(log.all('Worker heartbeat timeout').map((line) => line.context)).toEqual([
    { workerId: 'fleet-0', timeSinceHeartbeat: expect.any(Number), threshold: 200 },
  ]);
  expect(log.all('Worker connection presumed dead, closing').map((line) => line.context)).toEqual([
    { workerId: 'fleet-0' },
  ]);
  expect(await fleet.ask('report')).toEqual({ open: 0, closed: [4003] });
}, 40000);

test('I4: messages that are sent before the event loop is blocked leave meanwhile', async () => {
  const { server, port } = await startServer();
  const fleet = await startFleet(port, { count: 5 });
  const file = signalFile();
  await fleet.ask('count', { type: 'work', each: 20, file });
  for (let i = 0; i < 20; i += 1) server.broadcast({ type: 'work', i });
  await new Promise((resolve) => setImmediate(resolve));
  expect(blockUntilFile(file)).toBe('5');
}, 40000);

test('I4: workers that connect while the event loop is blocked are registered after it', async () => {
  const { server, port } = await startServer();
  const fleet = await startFleet(port, { count: 1, prefix: 'early' });
  const file = signalFile();
  fleet.ask('openAt', { port, count: 20, prefix: 'late', file });
  blockUntilFile(file, { ms: 300 });
  expect(server.getWorkerCount()).toBe(1);
  await until(() => server.getWorkerCount() === 21);
  expect((await openWorker(port, 'last')).ack.success).toBe(true);
  expect(server.getWorkerCount()).toBe(22);
}, 40000);

test('I4: closing handshakes are answered while the event loop is blocked, and the events come after it', async () => {
  const { server, port } = await startServer();
  const fleet = await startFleet(port, { count: 5 });
  const gone = [];
  server.onWorkerDisconnected((worker) => gone.push(worker.id));
  const file = signalFile();
  fleet.ask('closeAt', { file });
  expect(JSON.parse(blockUntilFile(file))).toEqual(Array(5).fill(4100));
  expect([server.getWorkerCount(), gone]).toEqual([5, []]);
  expect(server.getAvailableWorker('model')).toBeNull();
  await until(() => gone.length === 5);
  expect(server.getWorkerCount()).toBe(0);
}, 40000);

test('I4: the grace of a stop ends while the event loop is blocked', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 100 } });
  const mute = await startFlood(port, { count: 3 });
  const file = signalFile();
  mute.ask('awaitEnd', { file });
  const stop = server.stop();
  // Less than the 5 s that a peer has for its answer to a close frame at other times.
  blockUntilFile(file, { atMost: 4000 });
  await stop;
}, 40000);
