'use strict';

// Workers whose capabilities change: worker_update and onWorkerUpdated.

const { nextCall, startServer } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { statusOf } = require('./support/worker-status.js');

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
