'use strict';

// disconnectWorker: its codes, its reasons, and the worker that leaves.

const { nextCall, startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

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
