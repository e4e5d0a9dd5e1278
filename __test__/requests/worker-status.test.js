'use strict';

// Workers that drain and are available again: worker_status and setWorkerStatus.

const { startServer, until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { sayStatus, statusOf } = require('./support/worker-status.js');

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

test('requests that begin and end do not undo a drain', async () => {
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
