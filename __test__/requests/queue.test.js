'use strict';

// Who waits, for how long, and who is next.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

/** A server with one worker of one slot, which is taken by `blocker`. */
async function full(queue, { slots = 1, ...worker } = {}) {
  const { server, log } = await startServer({ queue });
  const client = await connectRequestWorker(server, 'w', { slots, ...worker });
  server.request('blocker', { requestId: 'blocker' }).catch(() => {});
  const blocker = await client.nextRequest();
  const ask = (payload, options) => {
    const answer = server.request(payload, options);
    // What still waits at the end of a test is rejected.
    answer.catch(() => {});
    return answer;
  };
  return { server, log, worker: client, blocker, ask };
}

/** Answers requests one after the other; resolves with the payloads in the order in which they came. */
async function serve(worker, first, count) {
  const order = [];
  worker.answer(first, 'result');
  for (let served = 0; served < count; served += 1) {
    const request = await worker.nextRequest();
    order.push(request.payload);
    worker.answer(request, 'result');
  }
  return order;
}

test('onQueued says, before request returns, how many wait for the same model in its class or a higher one, and in all', async () => {
  const { server, ask } = await full({}, { models: ['m', 'n'] });
  const places = [];
  const wait = (options) => ask({}, { ...options, onQueued: (place) => places.push(place) }).catch(() => {});
  wait({ model: 'm' });
  wait({ model: 'm', priority: 'low' });
  wait({ model: 'm', priority: 'high' });
  wait({ model: 'n', priority: 'low' });
  wait({ model: 'm', priority: 'low' });
  expect(places).toEqual([
    { position: 1, size: 1 },
    { position: 2, size: 2 },
    { position: 1, size: 3 },
    { position: 1, size: 4 },
    { position: 4, size: 5 },
  ]);
  expect(server.getQueueInfo()).toMatchObject({ size: 5, bytes: 10, byModel: { m: 4, n: 1 } });
});

test('a request that need not wait has no onQueued', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server);
  const onQueued = jest.fn();
  server.request({}, { onQueued }).catch(() => {});
  expect(onQueued).not.toHaveBeenCalled();
});

test('getQueueInfo counts requests without a model as *, in an object without a prototype', async () => {
  const { server, ask } = await full();
  ask({}).catch(() => {});
  const info = server.getQueueInfo();
  expect(Object.getPrototypeOf(info.byModel)).toBeNull();
  expect({ ...info.byModel }).toEqual({ '*': 1 });
  await until(() => server.getQueueInfo().oldestMs > 0);
});

test('the higher class is always first, and in a class who came first', async () => {
  const { worker, blocker, ask } = await full();
  for (const [payload, priority] of [
    ['low 1', 'low'],
    ['medium 1', undefined],
    ['high 1', 'high'],
    ['medium 2', 'medium'],
    ['high 2', 'high'],
  ]) {
    ask(payload, { priority });
  }
  expect(await serve(worker, blocker, 5)).toEqual(['high 1', 'high 2', 'medium 1', 'medium 2', 'low 1']);
});

test('fair keys of a class are served in turn, and those without one as one key more', async () => {
  const { worker, blocker, ask } = await full();
  for (const [payload, fairKey] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['a3', 'a'],
    ['b1', 'b'],
    ['none1', undefined],
    ['none2', undefined],
    ['b2', 'b'],
  ]) {
    ask(payload, { fairKey });
  }
  expect(await serve(worker, blocker, 7)).toEqual(['a1', 'b1', 'none1', 'a2', 'b2', 'none2', 'a3']);
});

test('who waits for a busy model never holds up who waits for a free one', async () => {
  const { server } = await full({}, { models: ['busy'] });
  const other = await connectRequestWorker(server, 'other', { models: ['free'], slots: 1 });
  server.request('first', { model: 'busy', priority: 'high' }).catch(() => {});
  const answer = server.request('second', { model: 'free' });
  other.answer(await other.nextRequest(), 'result', { data: 'served' });
  expect(await answer).toBe('served');
});

test('a request that has waited half of its queue time counts one class higher', async () => {
  const { worker, blocker, ask } = await full();
  ask('old and low', { priority: 'low', queueTimeoutMs: 400 });
  await new Promise((resolve) => setTimeout(resolve, 230));
  ask('new and low', { priority: 'low' });
  ask('new and medium', { priority: 'medium' });
  expect(await serve(worker, blocker, 3)).toEqual(['new and medium', 'old and low', 'new and low']);
});

test('beyond maxSize, maxBytes or maxPerKey it is QUEUE_FULL at once, with a guess when to try again', async () => {
  for (const [queue, options] of [
    [{ maxSize: 1 }, {}],
    [{ maxBytes: 6 }, {}],
    [{ maxPerKey: 1 }, { fairKey: 'k' }],
  ]) {
    const { server, ask } = await full(queue);
    ask('four', options).catch(() => {});
    const error = await rejection(ask('four', options));
    expect(error).toMatchObject({ code: 'QUEUE_FULL', attempts: 0, started: false });
    expect(Number.isInteger(error.retryAfterMs) && error.retryAfterMs > 0).toBe(true);
    expect(error.message).toMatch(/1 worker\(s\): 1 busy$/);
    await server.stop();
  }
});

test('maxPerKey bounds a key, and nobody without one', async () => {
  const { ask, server } = await full({ maxPerKey: 1 });
  for (let count = 0; count < 3; count += 1) ask({}).catch(() => {});
  ask({}, { fairKey: 'k' }).catch(() => {});
  expect(await rejection(ask({}, { fairKey: 'k' }))).toMatchObject({ code: 'QUEUE_FULL' });
  expect(server.getQueueInfo().size).toBe(4);
});

test('who is withdrawn frees room at once', async () => {
  const { ask } = await full({ maxSize: 1, maxPerKey: 1 });
  const controller = new AbortController();
  ask({}, { fairKey: 'k', signal: controller.signal }).catch(() => {});
  controller.abort();
  const waits = rejection(ask({}, { fairKey: 'k', queueTimeoutMs: 10 }));
  expect(await waits).toMatchObject({ code: 'QUEUE_TIMEOUT' });
});

test('maxSize 0 never lets anybody wait, nor does queueTimeoutMs 0', async () => {
  const { ask } = await full({ maxSize: 0 });
  expect(await rejection(ask({}))).toMatchObject({ code: 'QUEUE_FULL' });
  expect(await rejection(ask({}, { queueTimeoutMs: 0 }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
});

test('when the queue time is up it is QUEUE_TIMEOUT, or NO_WORKER if no worker could ever take it', async () => {
  const { ask } = await full({ timeoutMs: 20 });
  const [busy, never] = [rejection(ask({})), rejection(ask({}, { model: 'other' }))];
  expect(await busy).toMatchObject({ code: 'QUEUE_TIMEOUT', attempts: 0, started: false });
  const error = await never;
  expect(error).toMatchObject({ code: 'NO_WORKER', attempts: 0, started: false });
  expect(error.message).toMatch(/1 worker\(s\): 1 does not serve "other"$/);
  expect(error.retryAfterMs).toBeGreaterThan(0);
});

test('of two deadlines the earlier decides, and of equal ones TIMEOUT', async () => {
  const { ask } = await full();
  expect(await rejection(ask({}, { timeoutMs: 20, queueTimeoutMs: 1_000 }))).toMatchObject({ code: 'TIMEOUT' });
  expect(await rejection(ask({}, { timeoutMs: 1_000, queueTimeoutMs: 20 }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
  expect(await rejection(ask({}, { timeoutMs: 20, queueTimeoutMs: 20 }))).toMatchObject({ code: 'TIMEOUT' });
});

test('with whenNoWorker fail it is NO_WORKER at once, and a worker that is only busy, draining or unhealthy is one', async () => {
  const { server, ask } = await full({ whenNoWorker: 'fail' });
  for (const options of [{ model: 'other' }, { workerId: 'other' }, { where: { gpu: 'a100' } }]) {
    expect(await rejection(ask({}, options))).toMatchObject({ code: 'NO_WORKER' });
  }
  server.setWorkerStatus('w', 'draining');
  expect(await rejection(ask({}, { queueTimeoutMs: 10 }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
});

test.each([
  ['releaseRequest', ({ server }) => server.releaseRequest('own')],
  ['setWorkerStatus available', ({ server }) => server.setWorkerStatus('w', 'available')],
])('%s gives the slot away before the call returns, and getAvailableWorker never sees it', async (how, free) => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  if (how === 'releaseRequest') server.trackRequest('w', 'own');
  else server.setWorkerStatus('w', 'draining');
  const started = jest.fn();
  server.request({}, { onStarted: started }).catch(() => {});
  expect(started).not.toHaveBeenCalled();
  free({ server });
  expect(started).toHaveBeenCalledTimes(1);
  expect(server.getAvailableWorker('m')).toBeNull();
  await worker.nextRequest();
});

test('at a registration it is given away before the connected handlers run', async () => {
  const { server } = await startServer();
  const seen = [];
  server.onWorkerConnected(({ activeRequests }) => seen.push(['connected', activeRequests]));
  server.request({}, { onStarted: () => seen.push(['started']) }).catch(() => {});
  await connectRequestWorker(server, 'w', { slots: 1 });
  expect(seen).toEqual([['started'], ['connected', 1]]);
});

test('the heartbeat of an unhealthy worker gives its slots away', async () => {
  const { server } = await startServer({ heartbeatTimeoutMs: 100, healthCheckIntervalMs: 10 });
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  await until(() => server.getWorkerInfo()[0].status === 'unhealthy');
  const answer = server.request({});
  worker.send({ type: 'heartbeat', workerId: 'w', timestamp: '' });
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
});

test('who comes back after a rejection keeps its first arrival’s place, and is never refused', async () => {
  const { server, worker, blocker, ask } = await full({ maxSize: 1 });
  const other = await connectRequestWorker(server, 'other', { slots: 1 });
  const first = ask('first', {});
  const request = await other.nextRequest();
  ask('second', {});
  expect(await rejection(ask('third', {}))).toMatchObject({ code: 'QUEUE_FULL' });
  other.answer(request, 'reject', { reason: 'busy' });
  await other.sync();
  // `other` may take what it has not rejected; the one that came back waits for `w`, beyond the bound.
  other.answer(await other.nextRequest(), 'result');
  worker.answer(blocker, 'result');
  const again = await Promise.race([worker.nextRequest(), other.nextRequest()]);
  expect([again.payload, again.attempt]).toEqual(['first', 2]);
  for (const client of [worker, other]) client.answer(again, 'result', { data: 'done' });
  expect(await first).toBe('done');
});

test('wrong members of the option queue are TypeErrors that name them', () => {
  const { createServer } = require('../support/server.js');
  for (const [queue, message] of [
    [null, 'options.queue must be an object'],
    [{ maxSize: -1 }, 'options.queue.maxSize must be'],
    [{ maxSize: 1.5 }, 'options.queue.maxSize must be'],
    [{ maxBytes: '1' }, 'options.queue.maxBytes must be'],
    [[], 'options.queue must be an object'],
    [{ maxPerKey: NaN }, 'options.queue.maxPerKey must be'],
    [{ timeoutMs: -1 }, 'options.queue.timeoutMs must be'],
    [{ whenNoWorker: 'cry' }, "options.queue.whenNoWorker must be 'wait' or 'fail'"],
  ]) {
    expect(() => createServer({ queue })).toThrow(TypeError);
    expect(() => createServer({ queue })).toThrow(message);
  }
  createServer({ queue: { maxSize: Infinity, maxBytes: Infinity, maxPerKey: Infinity, timeoutMs: Infinity } });
});

test('requests with very long names, of which few are remembered, are explained and end like all others', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const running = server.request({});
  const request = await worker.nextRequest();
  const long = (number) => String(number).repeat(400 * 1024);
  for (const name of [1, 2, 3, 4, 1, 2]) {
    expect(server.explain({ model: long(name) }).workers).toEqual([{ id: 'w', takes: false, reason: 'model' }]);
    const error = await rejection(server.request({}, { model: long(name), queueTimeoutMs: 1 }));
    expect(error).toMatchObject({ code: 'NO_WORKER', attempts: 0 });
  }
  worker.answer(request, 'result', { data: 1 });
  expect(await running).toBe(1);
});

test.each([
  ['capacity 0', { slots: 0 }, {}],
  ['a category limit of 0', { limits: { c: 0 } }, { category: 'c' }],
])('a worker with %s is none that could ever take a request', async (_, worker, options) => {
  const { server } = await startServer({ queue: { whenNoWorker: 'fail' } });
  await connectRequestWorker(server, 'w', worker);
  expect(await rejection(server.request({}, options))).toMatchObject({ code: 'NO_WORKER', attempts: 0 });
});

test('an unhealthy worker could take a request one day', async () => {
  const { server } = await startServer({
    heartbeatTimeoutMs: 100,
    healthCheckIntervalMs: 10,
    queue: { whenNoWorker: 'fail' },
  });
  await connectRequestWorker(server);
  await until(() => server.getWorkerInfo()[0].status === 'unhealthy');
  expect(await rejection(server.request({}, { queueTimeoutMs: 1 }))).toMatchObject({ code: 'QUEUE_TIMEOUT' });
});

test('a request whose key counts one class higher joins that class’s ring at its end', async () => {
  const { worker, blocker, ask } = await full();
  ask('aged', { priority: 'low', fairKey: 'a', queueTimeoutMs: 400 });
  for (const name of ['m1', 'm2']) ask(name, { fairKey: 'm' });
  await new Promise((resolve) => setTimeout(resolve, 230));
  expect(await serve(worker, blocker, 3)).toEqual(['m1', 'aged', 'm2']);
});
