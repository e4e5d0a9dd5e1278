'use strict';

// What is kept as it happens: requests under way, how they ended, and lost workers.

const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { nextCall, until } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');
const { startStatus, statusOf } = require('./support/status.js');

/** How many requests of all intervals completed, and failed. */
async function countsOf(port) {
  const { history } = await statusOf(port);
  return history.reduce(([all, lost], { completed, failed }) => [all + completed, lost + failed], [0, 0]);
}

/** Cuts a worker's connection, and waits until the server has noticed. */
async function lose(server, worker) {
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.die();
  await left;
}

describe('requests', () => {
  test('those that run and those that wait are there, the oldest first, with where they are', async () => {
    const { port, server } = await startStatus();
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    const first = server.request('x', { model: 'm', requestId: 'r1' });
    const second = server.stream('x', { requestId: 'r2' });
    const request = await worker.nextRequest();
    const { requests } = await statusOf(port);
    const ageMs = expect.any(Number);
    expect(requests).toEqual([
      { requestId: 'r1', model: 'm', workerId: 'w', attempt: 1, ageMs, state: 'running' },
      { requestId: 'r2', model: null, workerId: null, attempt: 0, ageMs, state: 'waiting' },
    ]);
    expect(Object.keys(requests[0])).toEqual(['requestId', 'model', 'workerId', 'attempt', 'ageMs', 'state']);
    expect(requests[0].ageMs).toBeGreaterThanOrEqual(requests[1].ageMs);
    worker.answer(request, 'result');
    await first;
    const next = await worker.nextRequest();
    expect((await statusOf(port)).requests).toEqual([
      { requestId: 'r2', model: null, workerId: 'w', attempt: 1, ageMs, state: 'running' },
    ]);
    worker.answer(next, 'result');
    await second.result;
    expect((await statusOf(port)).requests).toEqual([]);
  });

  test('one that was lost and waits for another worker is on none', async () => {
    const { port, server } = await startStatus({}, { limits: { resumeGraceMs: 0 } });
    const worker = await connectRequestWorker(server, 'w');
    const done = server.request('x', { requestId: 'r', maxAttempts: 2 });
    await worker.nextRequest();
    await lose(server, worker);
    const [request] = (await statusOf(port)).requests;
    expect(request).toMatchObject({ workerId: null, attempt: 1, state: 'waiting' });
    const other = await connectRequestWorker(server, 'v');
    const again = await other.nextRequest();
    expect((await statusOf(port)).requests[0]).toMatchObject({ workerId: 'v', attempt: 2, state: 'running' });
    other.answer(again, 'result');
    await done;
  });

  test('there are the oldest thousand', async () => {
    const { port, server } = await startStatus({}, { queue: { maxSize: 2_000 } });
    const all = Array.from({ length: 1_005 }, (_, i) => server.request(i, { requestId: `r${i}` }).catch(() => {}));
    const { requests, queue } = await statusOf(port);
    expect(queue.size).toBe(1_005);
    expect(requests).toHaveLength(1_000);
    expect([requests[0].requestId, requests.at(-1).requestId]).toEqual(['r0', 'r999']);
    await server.stop();
    await Promise.all(all);
  });

  test('those of another server are not there, nor is a request that was called wrongly', async () => {
    const { port, server } = await startStatus();
    const other = await startStatus();
    const waits = other.server.request('x', { requestId: 'elsewhere' }).catch(() => {});
    await rejection(server.request('x', { timeoutMs: -1 }));
    expect((await statusOf(port)).requests).toEqual([]);
    expect((await statusOf(other.port)).requests).toHaveLength(1);
    await other.server.stop();
    await waits;
    expect(await countsOf(port)).toEqual([0, 0]);
  });
});

describe('history', () => {
  test('counts results and failures, and how long the results took', async () => {
    const { port, server } = await startStatus();
    const worker = await connectRequestWorker(server);
    const done = server.request('x');
    worker.answer(await worker.nextRequest(), 'result');
    await done;
    const failed = rejection(server.request('x'));
    worker.answer(await worker.nextRequest(), 'error', { error: { message: 'no' } });
    await failed;
    await rejection(server.request('x', { model: 'nowhere', queueTimeoutMs: 1 }));
    await rejection(server.request('x', { model: 'nowhere', signal: AbortSignal.timeout(1) }));
    expect(await countsOf(port)).toEqual([1, 3]);
    const { history } = await statusOf(port);
    const [interval] = history.filter(({ completed }) => completed > 0);
    expect(Object.keys(interval)).toEqual(['at', 'completed', 'failed', 'p50Ms', 'p95Ms']);
    expect(interval.p50Ms).toBeGreaterThan(0);
    expect(interval.p95Ms).toBe(interval.p50Ms);
  });

  test('what its caller aborted counts as neither', async () => {
    const { port, server } = await startStatus();
    await connectRequestWorker(server);
    const abort = new AbortController();
    const ended = rejection(server.request('x', { signal: abort.signal }));
    abort.abort();
    expect((await ended).name).toBe('AbortError');
    expect(await countsOf(port)).toEqual([0, 0]);
  });
});

describe('losses', () => {
  test('a worker that left otherwise than by 1000 and 1001 is one, with its code and reason', async () => {
    const { port, server } = await startStatus();
    const closing = await connectWorker(server, 'w1', { workerName: 'first' });
    const left = nextCall((handler) => server.onWorkerDisconnected(handler));
    await closing.close(4321, 'had enough');
    await left;
    await lose(server, await connectWorker(server, 'w2'));
    const { losses } = await statusOf(port);
    expect(losses.map(({ at: _at, ...loss }) => loss)).toEqual([
      { workerId: 'w1', workerName: 'first', code: 4321, reason: 'had enough', requests: 0 },
      { workerId: 'w2', workerName: 'Worker w2', code: 1006, reason: expect.any(String), requests: 0 },
    ]);
    expect(Object.keys(losses[0])).toEqual(['at', 'workerId', 'workerName', 'code', 'reason', 'requests']);
    expect(new Date(losses[0].at).toISOString()).toBe(losses[0].at);
  });

  test.each([1000, 1001])('one that left by %d is one only if it had requests', async (code) => {
    const { port, server } = await startStatus();
    for (const [id, tracked] of [
      ['idle', 0],
      ['working', 2],
    ]) {
      const worker = await connectWorker(server, id);
      for (let i = 0; i < tracked; i += 1) server.trackRequest(id, `r${i}`);
      const left = nextCall((handler) => server.onWorkerDisconnected(handler));
      await worker.close(code);
      await left;
    }
    const { losses } = await statusOf(port);
    expect(losses.map(({ workerId, requests }) => [workerId, requests])).toEqual([['working', 2]]);
  });

  test.each([
    ['that are lost with it', 0, 1],
    ['that wait for it to come back', 60_000, 1],
    ['that go on elsewhere', 0, 2],
  ])('its requests %s count, once', async (_name, resumeGraceMs, maxAttempts) => {
    const { port, server } = await startStatus({}, { limits: { resumeGraceMs } });
    const worker = await connectRequestWorker(server, 'w', { slots: 3, features: ['request', 'resume'] });
    const all = [1, 2].map(() => server.request('x', { maxAttempts, workerId: 'w' }).catch(() => {}));
    server.trackRequest('w', 'tracked');
    await worker.nextRequest();
    await worker.nextRequest();
    const waits = server.request('x', { model: 'nowhere' }).catch(() => {});
    await lose(server, worker);
    expect((await statusOf(port)).losses).toEqual([
      expect.objectContaining({ workerId: 'w', code: 1006, requests: 3 }),
    ]);
    // The next session of the worker has nothing of it.
    await lose(server, await connectWorker(server, 'w'));
    expect((await statusOf(port)).losses.map(({ requests }) => requests)).toEqual([3, 0]);
    await server.stop();
    await Promise.all([...all, waits]);
  });

  test('a request that went on with its worker is lost again with it', async () => {
    const { port, server } = await startStatus();
    const features = ['request', 'resume'];
    const worker = await connectRequestWorker(server, 'w', { features });
    const done = server.request('x', { requestId: 'r' }).catch(() => {});
    await worker.nextRequest();
    const resume = { sessionId: worker.ack.sessionId, requests: [{ requestId: 'r', attempt: 1, done: false }] };
    await lose(server, worker);
    const again = await connectRequestWorker(server, 'w', { features, resume });
    expect(again.ack.resumed).toHaveLength(1);
    await lose(server, again);
    expect((await statusOf(port)).losses.map(({ requests }) => requests)).toEqual([1, 1]);
    await server.stop();
    await done;
  });

  test('many that are lost at once are counted each', async () => {
    const { port, server } = await startStatus({}, { limits: { resumeGraceMs: 0 } });
    const workers = [];
    for (let i = 0; i < 5; i += 1) workers.push(await connectRequestWorker(server, `w${i}`, { slots: 1 }));
    const all = workers.map((_, i) => server.request('x', { workerId: `w${i}` }).catch(() => {}));
    await Promise.all(workers.map((worker) => worker.nextRequest()));
    await Promise.all(workers.map((worker) => worker.die()));
    await Promise.all(all);
    await until(() => server.getWorkerCount() === 0);
    const { losses } = await statusOf(port);
    expect(losses.map(({ workerId, requests }) => `${workerId} ${requests}`).sort()).toEqual([
      'w0 1',
      'w1 1',
      'w2 1',
      'w3 1',
      'w4 1',
    ]);
  });

  test('the last hundred are kept', async () => {
    const { port, server } = await startStatus();
    for (let i = 0; i < 103; i += 1) await lose(server, await connectWorker(server, `w${i}`));
    const { losses } = await statusOf(port);
    expect(losses).toHaveLength(100);
    expect([losses[0].workerId, losses.at(-1).workerId]).toEqual(['w3', 'w102']);
  });

  test('workers that stop() sends away are none', async () => {
    const { server } = await startStatus();
    await connectWorker(server, 'w');
    server.trackRequest('w', 'r');
    await server.stop();
    await server.start();
    expect((await statusOf(server.port)).losses).toEqual([]);
  });
});

test('a server that nobody needs any more is not kept by its page', () => {
  const program = path.join(__dirname, 'programs/forgotten.js');
  const output = execFileSync(process.execPath, ['--expose-gc', program], { encoding: 'utf8', timeout: 15_000 });
  expect(output).toBe('listens: true\nforgotten\n');
});
