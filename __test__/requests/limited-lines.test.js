'use strict';

// Lines of the log that a worker can cause with what it says about requests: each kind has its bound a second.

const { startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');

test.each([
  ['Malformed answer from worker', { type: 'request_result' }],
  ['Malformed answer from worker', { type: 'worker_status', status: 7 }],
  ['Stale answer from worker', { type: 'request_result', requestId: 'nobody', attempt: 1 }],
  ['Stale answer from worker', { type: 'request_chunk', requestId: 'nobody', attempt: 1, seq: 0 }],
])('a flood of %s, here of %j, fills no log', async (line, message) => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const text = JSON.stringify(message);
  const start = performance.now();
  for (let count = 0; count < 5_000; count += 1) worker.sendText(text);
  await worker.sync();
  const seconds = Math.ceil((performance.now() - start) / 1_000) + 1;
  expect(log.contexts(line).length).toBeGreaterThan(0);
  expect(log.contexts(line).length).toBeLessThanOrEqual(100 * seconds);
});

test('what is missing is judged in the order requestId, attempt, seq', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const valid = { requestId: 'r', attempt: 1, seq: 0 };
  for (const wrong of [
    { requestId: 7, attempt: 0, seq: -1 },
    { attempt: 1.5, seq: '0' },
    { attempt: '1' },
    { seq: 0.5 },
    { seq: -1 },
    { seq: null },
  ]) {
    worker.send({ type: 'request_chunk', ...valid, ...wrong });
  }
  await worker.sync();
  expect(log.contexts('Malformed answer from worker').map(({ field }) => field)).toEqual([
    'requestId',
    'attempt',
    'attempt',
    'seq',
    'seq',
    'seq',
  ]);
});
