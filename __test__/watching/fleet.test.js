'use strict';

// `server.metrics()` of the nodes of a fleet: a request is counted once, at the node that was asked for it, whichever
// node's worker does it; slots, queues and connections are counted where they are.

const { tracingChannel } = require('node:diagnostics_channel');
const { onCleanup } = require('../support/cleanup.js');
const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { until } = require('../support/server.js');
const { nonzero, valueOf } = require('./support/metrics.js');

/** A fleet of two nodes, with a worker at `b`, and what is asked at `a`. */
async function startPair(worker = { slots: 1 }, options = {}) {
  const [a, b] = await startFleet(['a', 'b'], options);
  const ofB = await connectRequestWorker(b, 'of-b', worker);
  await untilWorkers([a, b], 1);
  return { a, b, ofB };
}

const COUNTED = [
  'requests_total',
  'request_attempts_total',
  'queue_wait_seconds_count',
  'request_duration_seconds_count',
];
/** Collects what is published about requests, from now on. */
function watchRequests() {
  const seen = [];
  const names = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
  const handlers = Object.fromEntries(names.map((event) => [event, (message) => seen.push({ event, message })]));
  const channel = tracingChannel('worker-server:request');
  channel.subscribe(handlers);
  const stop = () => channel.unsubscribe(handlers);
  onCleanup(stop);
  return { seen, stop };
}

const countedOf = (server) => Object.fromEntries(COUNTED.map((name) => [name, nonzero(server, name)]));
const NOTHING = Object.fromEntries(COUNTED.map((name) => [name, {}]));

test('a request that a worker of another node does is counted at its origin, and there alone', async () => {
  const { a, b, ofB } = await startPair();
  const promise = a.request('x', { model: 'm' });
  ofB.answer(await ofB.nextRequest(), 'result');
  await promise;
  expect(countedOf(a)).toEqual({
    requests_total: { 'model="m",outcome="completed"': 1 },
    request_attempts_total: { 'reason="first"': 1 },
    queue_wait_seconds_count: { 'model="m"': 1 },
    request_duration_seconds_count: { 'model="m"': 1 },
  });
  expect(countedOf(b)).toEqual(NOTHING);
});

test('how long it waited is counted from the call to the sending, at whichever node its slot is', async () => {
  const { a, b, ofB } = await startPair();
  const first = a.request('x', { model: 'm' });
  const taken = await ofB.nextRequest();
  const began = performance.now();
  const second = a.request('x', { model: 'm' });
  await until(() => performance.now() - began > 300);
  const least = (performance.now() - began) / 1_000;
  ofB.answer(taken, 'result');
  ofB.answer(await ofB.nextRequest(), 'result');
  await Promise.all([first, second]);
  expect(valueOf(a, 'queue_wait_seconds_sum{model="m"}')).toBeGreaterThanOrEqual(least - 0.001);
  expect(valueOf(a, 'queue_wait_seconds_count{model="m"}')).toBe(2);
  expect(countedOf(b)).toEqual(NOTHING);
});

test('the first chunk of a stream, and no other, is counted at its origin', async () => {
  const { a, b, ofB } = await startPair();
  const stream = a.stream('x', { model: 'm' });
  const taken = await ofB.nextRequest();
  for (const seq of [0, 1, 2]) ofB.answer(taken, 'chunk', { seq, data: seq });
  ofB.answer(taken, 'result');
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toEqual([0, 1, 2]);
  expect(nonzero(a, 'first_chunk_seconds_count')).toEqual({ 'model="m"': 1 });
  expect(nonzero(b, 'first_chunk_seconds_count')).toEqual({});
});

test.each([
  ['rejected', 'reject', {}, 1],
  ['retryable', 'error', { error: { message: 'no', retryable: true } }, 2],
])('a further sending after one that was %s is counted with that reason', async (reason, type, fields, maxAttempts) => {
  const { a, b, ofB } = await startPair();
  const promise = a.request('x', { model: 'm', maxAttempts });
  ofB.answer(await ofB.nextRequest(), type, fields);
  ofB.answer(await ofB.nextRequest(), 'result');
  await promise;
  expect(nonzero(a, 'request_attempts_total')).toEqual({ 'reason="first"': 1, [`reason="${reason}"`]: 1 });
  expect(nonzero(a, 'queue_wait_seconds_count')).toEqual({ 'model="m"': 1 });
  expect(countedOf(b)).toEqual(NOTHING);
});

test('a sending after a worker of another node was lost is counted with that reason', async () => {
  const { a, b, ofB } = await startPair({ slots: 1 }, { limits: { resumeGraceMs: 0 } });
  const promise = a.request('x', { model: 'm', maxAttempts: 2 });
  await ofB.nextRequest();
  ofB.ws.terminate();
  const again = await connectRequestWorker(b, 'again');
  again.answer(await again.nextRequest(), 'result');
  await promise;
  expect(nonzero(a, 'request_attempts_total')).toEqual({ 'reason="first"': 1, 'reason="lost"': 1 });
  expect(nonzero(a, 'requests_total')).toEqual({ 'model="m",outcome="completed"': 1 });
  expect(countedOf(b)).toEqual(NOTHING);
});

test.each([
  ['error', (taken, ofB) => ofB.answer(taken, 'error', { error: { message: 'no' } }), {}],
  ['timeout', () => {}, { timeoutMs: 500 }],
])('one that ends with %s elsewhere is counted so at its origin', async (outcome, end, options) => {
  const { a, b, ofB } = await startPair();
  const failed = rejection(a.request('x', { model: 'm', ...options }));
  end(await ofB.nextRequest(), ofB);
  await failed;
  expect(nonzero(a, 'requests_total')).toEqual({ [`model="m",outcome="${outcome}"`]: 1 });
  expect(countedOf(b)).toEqual(NOTHING);
});

test("models of other nodes' workers are labels; slots, busy ones and who waits are counted where they are", async () => {
  const { a, b, ofB } = await startPair();
  const requests = [1, 2].map(() => a.request('x', { model: 'm' }));
  const taken = await ofB.nextRequest();
  await until(() => valueOf(a, 'queue_requests{model="m",priority="medium"}') === 1);
  expect(nonzero(b, 'queue_requests')).toEqual({});
  expect(nonzero(b, 'worker_slots')).toEqual({ 'model="m"': 1 });
  expect(nonzero(b, 'worker_slots_busy')).toEqual({ 'model="m"': 1 });
  for (const name of ['worker_slots', 'worker_slots_busy', 'workers', 'connections']) {
    expect([name, nonzero(a, name)]).toEqual([name, {}]);
  }
  ofB.answer(taken, 'result');
  ofB.answer(await ofB.nextRequest(), 'result');
  await Promise.all(requests);
});

test("a worker of another node that does not confirm a cancellation holds that node's limit, once", async () => {
  const { a, b, ofB } = await startPair({ slots: 1 }, { limits: { cancelGraceMs: 20 } });
  const controller = new AbortController();
  const failed = rejection(a.request('x', { signal: controller.signal }));
  await ofB.nextRequest();
  controller.abort();
  await failed;
  await until(() => nonzero(b, 'limit_hits_total')['limit="cancelGraceMs"'] === 1);
  expect(nonzero(a, 'limit_hits_total')).toEqual({});
});

test('the channel of a request names the worker of another node that has it, and its attempts', async () => {
  const { a, b, ofB } = await startPair();
  const { seen, stop } = watchRequests();
  const promise = a.request('x', { model: 'm', requestId: 'r' });
  const taken = await ofB.nextRequest();
  await until(() => seen[0].message.workerId === 'of-b');
  expect(seen.map(({ event }) => event)).toEqual(['start', 'end']);
  ofB.answer(taken, 'result', { data: 7 });
  expect(await promise).toBe(7);
  stop();
  expect(seen.map(({ event }) => event)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  expect(new Set(seen.map(({ message }) => message)).size).toBe(1);
  expect(seen[0].message).toEqual({
    server: a,
    requestId: 'r',
    model: 'm',
    category: undefined,
    stream: false,
    attempts: 1,
    workerId: 'of-b',
    result: 7,
  });
  expect(b.getWorkerInfo()[0].completedRequests).toBe(1);
});
