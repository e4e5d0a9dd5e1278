'use strict';

// What holds for requests where nothing is said, and where a bound is just met.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

test('a request has ten minutes, which its worker is told as what is left', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  server.request({}).catch(() => {});
  server.request({}, { timeoutMs: 2 ** 31 + 0.5 }).catch(() => {});
  for (const longest of [600_000, 2 ** 31 + 1]) {
    const { timeoutMs } = await worker.nextRequest();
    expect(timeoutMs).toBeLessThanOrEqual(longest);
    expect(timeoutMs).toBeGreaterThan(longest - 60_000);
  }
});

test('an id may have one unit and 256, whatever they are', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  for (const requestId of ['x', '\ud83d\ude00'.repeat(128), '\ud800', '__proto__', ' ']) {
    const answer = server.request({}, { requestId });
    const request = await worker.nextRequest();
    expect(request.requestId).toBe(requestId);
    worker.answer(request, 'result', { data: requestId.length });
    expect(await answer).toBe(requestId.length);
  }
});

test('queue.maxBytes counts the UTF-8 of payloads, and a payload that is missing has none', async () => {
  for (const [maxBytes, code] of [
    [10, undefined],
    [9, 'QUEUE_FULL'],
  ]) {
    const { server } = await startServer({ queue: { maxBytes } });
    server.request('\u20ac').catch(() => {});
    server.request(undefined).catch(() => {});
    const second = server.request('\u20ac').catch((error) => error.code);
    expect(server.getQueueInfo()).toMatchObject({ size: code ? 2 : 3, bytes: code ? 5 : 10 });
    if (code) expect(await second).toBe(code);
    await server.stop();
  }
});

test('getQueueInfo says how long the oldest has waited', async () => {
  const { server } = await startServer();
  expect(server.getQueueInfo().oldestMs).toBe(0);
  server.request({}).catch(() => {});
  await until(() => server.getQueueInfo().oldestMs >= 2);
  await connectRequestWorker(server);
  expect(server.getQueueInfo()).toEqual({ size: 0, bytes: 0, oldestMs: 0, byModel: {} });
});

test('a thousand wait, and no more', async () => {
  const { server } = await startServer();
  for (let count = 0; count < 1_000; count += 1) server.request({}).catch(() => {});
  expect(await rejection(server.request({}))).toMatchObject({ code: 'QUEUE_FULL' });
  expect(server.getQueueInfo().size).toBe(1_000);
});

test('NO_WORKER and QUEUE_TIMEOUT end with what explain says, and NO_WORKER alone guesses when to try again', async () => {
  const { server } = await startServer({ queue: { timeoutMs: 10 } });
  const none = await rejection(server.request({}));
  expect(none).toMatchObject({ code: 'NO_WORKER', attempts: 0, started: false });
  expect(none.message).toMatch(/no workers$/);
  expect(Number.isInteger(none.retryAfterMs) && none.retryAfterMs > 0).toBe(true);
  await connectRequestWorker(server, 'w', { slots: 1 });
  server.request({}).catch(() => {});
  const busy = await rejection(server.request({}));
  expect(busy).toMatchObject({ code: 'QUEUE_TIMEOUT', attempts: 0, started: false });
  expect(busy.message).toMatch(/1 worker\(s\): 1 busy$/);
  expect(busy.retryAfterMs).toBeUndefined();
});
