'use strict';

// Further attempts across nodes: which worker gets a request again, and what becomes of the attempts before.

const { Forwards } = require('../../lib/cluster/forwards.js');
const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { until } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

const RETRYABLE = { error: { message: 'no memory', retryable: true } };
const UNKNOWN = { type: 'request_cancel', requestId: 'r', reason: 'unknown' };
const superseded = (attempt) => ({ type: 'request_cancel', requestId: 'r', attempt, reason: 'superseded' });

afterEach(() => jest.restoreAllMocks());

/** Node a without workers, and node b with these. Of several free ones the earliest registered gets a request. */
async function startWith(workerIds, { options, ...worker } = {}) {
  const [a, b] = await startFleet(['a', 'b'], options);
  const workers = [];
  for (const id of workerIds) workers.push(await connectRequestWorker(b, id, worker));
  await untilWorkers([a], workerIds.length);
  return { a, b, workers };
}

/** What a worker is sent when its heartbeat names the request. */
function beat(worker) {
  worker.send({ type: 'heartbeat', workerId: worker.id, timestamp: '', active: ['r'] });
  return worker.next('request_cancel');
}

test('an older attempt that a heartbeat names at another node is superseded, until the request is over', async () => {
  const { a, workers } = await startWith(['w1', 'w2', 'w3']);
  const [w1, w2, w3] = workers;
  const result = a.request('x', { requestId: 'r', maxAttempts: 3 });
  w1.answer(await w1.nextRequest(), 'error', RETRYABLE);
  // While it pauses at its origin.
  expect(await beat(w1)).toEqual(superseded(1));
  w2.answer(await w2.nextRequest(), 'error', RETRYABLE);
  const request = await w3.nextRequest();
  expect(request.attempt).toBe(3);
  expect(await beat(w1)).toEqual(superseded(1));
  expect(await beat(w2)).toEqual(superseded(2));
  w3.answer(request, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
  // The origin says that it is over, and nothing of it is remembered.
  for (const worker of [w1, w2]) {
    let told = await beat(worker);
    while (told.reason === 'superseded') told = await beat(worker);
    expect(told).toEqual(UNKNOWN);
  }
});

test('one that was rejected is an older attempt too, wherever the request goes on', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const there = await connectRequestWorker(b, 'there', { slots: 2 });
  await untilWorkers([a], 1);
  const result = a.request('x', { requestId: 'r' });
  const first = await there.nextRequest();
  const here = await connectRequestWorker(a, 'here');
  // Pauses are over at once: who had it last comes last all the same.
  jest.spyOn(Math, 'random').mockReturnValue(0);
  there.answer(first, 'reject', { reason: 'busy' });
  expect(await beat(there)).toEqual(superseded(1));
  const second = await here.nextRequest();
  expect(second.attempt).toBe(2);
  expect(await beat(there)).toEqual(superseded(1));
  here.answer(second, 'reject', { reason: 'busy' });
  expect(await beat(here)).toEqual(superseded(2));
  const third = await there.nextRequest();
  expect(third.attempt).toBe(3);
  expect(await beat(here)).toEqual(superseded(2));
  there.answer(third, 'result', { data: 1 });
  await expect(result).resolves.toBe(1);
});

test('without a further attempt what a heartbeat names is unknown', async () => {
  const { a, workers } = await startWith(['w1']);
  const [worker] = workers;
  const failed = rejection(a.request('x', { requestId: 'r' }));
  worker.answer(await worker.nextRequest(), 'error', RETRYABLE);
  expect(await beat(worker)).toEqual(UNKNOWN);
  expect(await failed).toMatchObject({ code: 'WORKER_ERROR', attempts: 1 });
});

test('an error that crosses the abort of its caller leaves nothing behind', async () => {
  const { a, workers } = await startWith(['w1']);
  const [worker] = workers;
  const controller = new AbortController();
  const failed = rejection(a.request('x', { requestId: 'r', maxAttempts: 2, signal: controller.signal }));
  worker.answer(await worker.nextRequest(), 'error', RETRYABLE);
  await worker.sync();
  controller.abort('enough');
  expect(await failed).toBe('enough');
  let told = await beat(worker);
  while (told.reason === 'superseded') told = await beat(worker);
  expect(told).toEqual(UNKNOWN);
});

test('what a node had that is gone is unknown to its workers', async () => {
  const { a, b, workers } = await startWith(['w1']);
  const [worker] = workers;
  jest.spyOn(Math, 'random').mockReturnValue(0.999);
  const failed = rejection(a.request('x', { requestId: 'r', maxAttempts: 2 }));
  worker.answer(await worker.nextRequest(), 'error', RETRYABLE);
  expect(await beat(worker)).toEqual(superseded(1));
  await a.stop();
  expect(await failed).toMatchObject({ code: 'SERVER_STOPPING' });
  await until(() => b.getClusterInfo().nodes.length === 1);
  expect(await beat(worker)).toEqual(UNKNOWN);
});

test('a further attempt goes to a free worker of another node rather than to the one that had it here', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const here = await connectRequestWorker(a, 'here', { slots: 5 });
  const there = await connectRequestWorker(b, 'there', { slots: 1 });
  await untilWorkers([a], 2);
  const result = a.request('x', { maxAttempts: 3 });
  here.answer(await here.nextRequest(), 'error', RETRYABLE);
  const second = await there.nextRequest();
  expect(second.attempt).toBe(2);
  there.answer(second, 'error', RETRYABLE);
  // All have had it: who had it last comes last.
  const third = await here.nextRequest();
  expect(third.attempt).toBe(3);
  here.answer(third, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
});

test('a further attempt goes to the only worker there is, of another node, though it may not wait', async () => {
  const { a, workers } = await startWith(['w1']);
  const [worker] = workers;
  const result = a.request('x', { maxAttempts: 2, queueTimeoutMs: 0 });
  worker.answer(await worker.nextRequest(), 'error', RETRYABLE);
  const again = await worker.nextRequest();
  expect(again.attempt).toBe(2);
  worker.answer(again, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
});

test('a worker of another node that rejected a request gets it again only after a pause, which doubles', async () => {
  const { a, workers } = await startWith(['w1']);
  const [worker] = workers;
  jest.spyOn(Math, 'random').mockReturnValue(0.999);
  const result = a.request('x');
  let request = await worker.nextRequest();
  for (const pauseMs of [50, 100, 200]) {
    const rejectedAt = performance.now();
    worker.answer(request, 'reject', { reason: 'busy' });
    const { attempt } = request;
    request = await worker.nextRequest();
    expect(request.attempt).toBe(attempt + 1);
    expect(performance.now() - rejectedAt).toBeGreaterThan(0.9 * pauseMs);
  }
  worker.answer(request, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
});

test('what one worker of another node has rejected waits for no other’s slot longer than it must', async () => {
  const { a, workers } = await startWith(['w1', 'w2'], { slots: 1 });
  const [w1, w2] = workers;
  jest.spyOn(Math, 'random').mockReturnValue(0.999);
  const running = [a.request('one'), a.request('two')];
  const [one, two] = [await w1.nextRequest(), await w2.nextRequest()];
  const waiting = a.request('three');
  await until(() => a.getQueueInfo().size === 1);
  w1.answer(one, 'result');
  const three = await w1.nextRequest();
  w1.answer(three, 'reject', { reason: 'busy' });
  w2.answer(two, 'result');
  const again = await w2.nextRequest();
  expect(again).toMatchObject({ payload: 'three', attempt: 2 });
  w2.answer(again, 'result', { data: 3 });
  await expect(waiting).resolves.toBe(3);
  await Promise.all(running);
});

test('three nodes that decline are asked, and no fourth: then the request waits, at its origin only', async () => {
  // Heartbeats are so rare that the origin takes every node for free.
  const times = { heartbeatMs: 20_000, timeoutMs: 60_000 };
  const ids = ['b', 'c', 'd', 'e', 'f'];
  const [a, ...others] = await startFleet(['a', ...ids], { cluster: times });
  const workers = [];
  for (const [at, node] of others.entries()) {
    workers.push(await connectRequestWorker(node, `w${at}`, { slots: 1 }));
  }
  await untilWorkers([a], 5);
  const running = others.map((node) => node.request('its own'));
  const requests = await Promise.all(workers.map((worker) => worker.nextRequest()));
  const claims = jest.spyOn(Forwards.prototype, 'claim');
  const queued = [];
  const result = a.request('x', { onQueued: (place) => queued.push(place) });
  await until(() => a.getQueueInfo().size === 1);
  expect(claims.mock.calls.map(([nodeId]) => nodeId)).toHaveLength(3);
  expect(new Set(claims.mock.calls.map(([nodeId]) => nodeId)).size).toBe(3);
  expect(queued).toEqual([{ position: 1, size: 1 }]);
  expect(others.map((node) => node.getQueueInfo().size)).toEqual([0, 0, 0, 0, 0]);
  workers[2].answer(requests[2], 'result');
  const again = await workers[2].nextRequest();
  expect(again.payload).toBe('x');
  workers[2].answer(again, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
  for (const at of [0, 1, 3, 4]) workers[at].answer(requests[at], 'result');
  await Promise.all(running);
});

test('an error of a worker without features is whole, and another one is tried', async () => {
  const requestTypes = { request: 'work', result: 'done', error: 'failed' };
  const [a, b] = await startFleet(['a', 'b'], { requestTypes });
  const [w1, w2] = [await connectWorker(b, 'w1'), await connectWorker(b, 'w2')];
  await untilWorkers([a], 2);
  const result = a.request({ n: 1 }, { requestId: 'r', maxAttempts: 2 });
  expect(await w1.next('work')).toEqual({ type: 'work', requestId: 'r', n: 1 });
  w1.send({ type: 'failed', requestId: 'r', message: 'no', retryable: true });
  expect(await w2.next('work')).toEqual({ type: 'work', requestId: 'r', n: 1 });
  const failure = { type: 'failed', requestId: 'r', error: 'still', retryable: true, why: { deep: -0 } };
  w2.sendText('{"type":"failed","requestId":"r","error":"still","retryable":true,"why":{"deep":-0}}');
  const error = await rejection(result);
  expect(error).toMatchObject({ code: 'WORKER_ERROR', message: 'still', attempts: 2, workerId: 'w2' });
  expect(error.data).toEqual(failure);
});
