'use strict';

// What workers are sent when the server drains.

const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

async function fleet(count) {
  const { server } = await startServer();
  const workers = [];
  for (let number = 0; number < count; number += 1) workers.push(await connectRequestWorker(server, `w${number}`));
  // Keeps it draining.
  server.trackRequest('w0', 'own');
  return { server, workers };
}

test('by default a drain takes 25 s, and for each worker its own time to come back is drawn', async () => {
  const { server, workers } = await fleet(8);
  server.drain();
  const told = await Promise.all(workers.map((worker) => worker.next('server_draining')));
  expect(told.map(({ timeoutMs }) => timeoutMs)).toEqual(Array(8).fill(25_000));
  const times = told.map(({ reconnectAfterMs }) => reconnectAfterMs);
  for (const time of times) expect(Number.isInteger(time) && time >= 0 && time <= 5_000).toBe(true);
  expect(new Set(times).size).toBeGreaterThan(1);
});

test('each worker is sent it once, however often drain is called', async () => {
  const { server, workers } = await fleet(2);
  server.drain({ timeoutMs: 1_000 });
  server.drain({ timeoutMs: 2_000 });
  for (const worker of workers) {
    await worker.sync();
    const told = worker.frames.filter((text) => text.includes('server_draining')).map((text) => JSON.parse(text));
    expect(told.map(({ timeoutMs }) => timeoutMs)).toEqual([1_000]);
  }
});

test('a drain without end is sent without timeoutMs', async () => {
  const { server, workers } = await fleet(1);
  server.drain({ timeoutMs: Infinity });
  const told = await workers[0].next('server_draining');
  expect(Object.keys(told)).toEqual(['type', 'reconnectAfterMs']);
});

test('while it drains a stream is refused like a request', async () => {
  const { server } = await fleet(1);
  server.drain();
  const stream = server.stream({});
  expect(await rejection(stream.result)).toMatchObject({ code: 'SERVER_STOPPING', attempts: 0, started: false });
  expect(await rejection(stream.next())).toBe(await rejection(stream.result));
});
