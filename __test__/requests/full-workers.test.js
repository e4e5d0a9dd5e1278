'use strict';

// A worker whose socket takes nothing: it refuses sends, and counts as full until its outbox has room.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const MIB = 1024 * 1024;

/** A worker with room for many requests whose socket is not read, and whose outbox takes no more. */
async function clogged() {
  const { server, log } = await startServer({
    limits: { maxQueuedBytes: 2 * MIB, stallTimeoutMs: Infinity, stopGraceMs: 0 },
  });
  const worker = await connectRequestWorker(server, 'w', { slots: 50 });
  worker.ws.pause();
  const text = 'x'.repeat(MIB);
  await until(() => !server.send('w', { type: 'filler', text }));
  return { server, log, worker };
}

test('a request that it refuses goes to another worker, with the next number', async () => {
  const { server } = await clogged();
  const other = await connectRequestWorker(server, 'other');
  server.trackRequest('other', 'own');
  const started = [];
  const answer = server.request('x'.repeat(MIB), { onStarted: ({ id }, attempt) => started.push([id, attempt]) });
  const request = await other.nextRequest();
  expect(started).toEqual([['other', request.attempt]]);
  other.answer(request, 'result', { data: 'taken' });
  expect(await answer).toBe('taken');
});

test('with no other, the request waits, and surely did not run', async () => {
  const { server } = await clogged();
  const onStarted = jest.fn();
  const error = await rejection(server.request('x'.repeat(MIB), { queueTimeoutMs: 50, onStarted }));
  expect(error).toMatchObject({ code: 'QUEUE_TIMEOUT', attempts: 0, started: false });
  expect(onStarted).not.toHaveBeenCalled();
  expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
});

test('it gets what waits when its outbox has room again', async () => {
  const { server, worker } = await clogged();
  const answers = [1, 2].map((number) => server.request({ number, text: 'x'.repeat(MIB) }));
  expect(server.getQueueInfo().size).toBe(2);
  worker.ws.resume();
  for (const number of [1, 2]) {
    const request = await worker.nextRequest();
    expect(request.payload.number).toBe(number);
    worker.answer(request, 'result', { data: number });
  }
  expect(await Promise.all(answers)).toEqual([1, 2]);
});
