'use strict';

// `server.metrics()`: how requests ended, how often they were sent, and how long they took.

const { setTimeout: sleep } = require('node:timers/promises');
const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { nonzero, samplesOf, valueOf } = require('./support/metrics.js');

describe('requests are counted by how they ended', () => {
  /** What `use` has counted, given a server with a worker `w` that has one slot for `m`. */
  async function outcomes(use, options) {
    const { server } = await startServer(options);
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    await use(server, worker);
    return nonzero(server, 'requests_total');
  }
  const only = (outcome, model = 'm') => ({ [`model="${model}",outcome="${outcome}"`]: 1 });
  const m = { model: 'm' };

  test('completed', async () => {
    const counted = await outcomes(async (server, worker) => {
      const promise = server.request({}, m);
      worker.answer(await worker.nextRequest(), 'result');
      await promise;
    });
    expect(counted).toEqual(only('completed'));
  });

  test('completed, of a request that asks for no model', async () => {
    const counted = await outcomes(async (server, worker) => {
      const promise = server.request({});
      worker.answer(await worker.nextRequest(), 'result');
      await promise;
    });
    expect(counted).toEqual(only('completed', 'any'));
  });

  test('error', async () => {
    const counted = await outcomes(async (server, worker) => {
      const promise = server.request({}, m);
      worker.answer(await worker.nextRequest(), 'error', { error: {} });
      await rejection(promise);
    });
    expect(counted).toEqual(only('error'));
  });

  test('timeout', async () => {
    expect(await outcomes((server) => rejection(server.request({}, { ...m, timeoutMs: 5 })))).toEqual(only('timeout'));
  });

  test('queue_timeout', async () => {
    const counted = await outcomes(async (server) => {
      server.trackRequest('w', 'own');
      await rejection(server.request({}, { ...m, queueTimeoutMs: 5 }));
    });
    expect(counted).toEqual(only('queue_timeout'));
  });

  test('queue_full', async () => {
    const use = async (server) => {
      server.trackRequest('w', 'own');
      await rejection(server.request({}, m));
    };
    expect(await outcomes(use, { queue: { maxSize: 0 } })).toEqual(only('queue_full'));
  });

  test('no_worker, of a model that no worker has', async () => {
    const use = (server) => rejection(server.request({}, { model: 'x' }));
    expect(await outcomes(use, { queue: { whenNoWorker: 'fail' } })).toEqual(only('no_worker', 'other'));
  });

  test('lost', async () => {
    const counted = await outcomes(async (server, worker) => {
      const promise = server.request({}, m);
      await worker.nextRequest();
      worker.ws.terminate();
      await rejection(promise);
    });
    expect(counted).toEqual(only('lost'));
  });

  test.each([
    ['before it begins', (server) => server.request({}, { ...m, signal: AbortSignal.abort() })],
    [
      'later, whatever the reason',
      (server) => {
        const controller = new AbortController();
        const promise = server.request({}, { ...m, signal: controller.signal });
        controller.abort({ code: 'TIMEOUT' });
        return promise;
      },
    ],
    [
      'as a stream',
      (server) => {
        const stream = server.stream({}, m);
        stream.cancel();
        return stream.result;
      },
    ],
  ])('cancelled, %s', async (_, use) => {
    expect(await outcomes((server) => rejection(use(server)))).toEqual(only('cancelled'));
  });

  test('overflow', async () => {
    const use = async (server, worker) => {
      const stream = server.stream({}, m);
      worker.answer(await worker.nextRequest(), 'chunk', { seq: 0, data: 'x'.repeat(2000) });
      await rejection(stream.result);
      expect(nonzero(server, 'limit_hits_total')).toEqual({ 'limit="maxStreamBytes"': 1 });
    };
    expect(await outcomes(use, { limits: { maxStreamBytes: 1000 } })).toEqual(only('overflow'));
  });

  test('duplicate', async () => {
    const counted = await outcomes(async (server) => {
      server.trackRequest('w', 'own');
      await rejection(server.request({}, { ...m, requestId: 'own' }));
    });
    expect(counted).toEqual(only('duplicate'));
  });

  test('stopping: at the call, under way, and of a server that does not run', async () => {
    const { server } = await startServer();
    const worker = await connectRequestWorker(server, 'w');
    const running = server.request({}, m);
    await worker.nextRequest();
    const stopped = server.stop();
    const late = server.request({}, m);
    await Promise.all([rejection(running), rejection(late), stopped]);
    await rejection(server.request({}, m));
    expect(nonzero(server, 'requests_total')).toEqual({ 'model="m",outcome="stopping"': 3 });
  });

  test('a call with wrong options is no request', async () => {
    expect(await outcomes((server) => rejection(server.request({}, { timeoutMs: 0 })))).toEqual({});
  });
});

/** Returns the next request that one of the workers gets, with that worker. */
function nextOf(workers) {
  const awaited = new Map();
  return async () => {
    for (const worker of workers) {
      if (!awaited.has(worker))
        awaited.set(
          worker,
          worker.nextRequest().then((request) => [worker, request]),
        );
    }
    const [worker, request] = await Promise.race(awaited.values());
    awaited.delete(worker);
    return [worker, request];
  };
}

test('sendings are counted by their reason', async () => {
  const { server } = await startServer({ limits: { resumeGraceMs: 0 } });
  const next = nextOf([await connectRequestWorker(server, 'a'), await connectRequestWorker(server, 'b')]);
  const promise = server.request({}, { maxAttempts: 9 });
  const [first, request] = await next();
  expect(nonzero(server, 'request_attempts_total')).toEqual({ 'reason="first"': 1 });
  first.answer(request, 'reject');
  const [second, again] = await next();
  second.answer(again, 'error', { error: { retryable: true } });
  const [third] = await next();
  third.ws.terminate();
  const [fourth, last] = await next();
  fourth.answer(last, 'result');
  await promise;
  expect(nonzero(server, 'request_attempts_total')).toEqual({
    'reason="first"': 1,
    'reason="rejected"': 1,
    'reason="retryable"': 1,
    'reason="lost"': 1,
  });
});

test('waiting, durations and first chunks are in histograms from 0.005 to 600 s', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const running = server.request({}, { model: 'm' });
  const waiting = server.stream({}, { model: 'm' });
  await sleep(30);
  worker.answer(await worker.nextRequest(), 'result');
  await running;
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0, data: 1 });
  worker.answer(request, 'chunk', { seq: 1, data: 2 });
  worker.answer(request, 'result');
  await waiting.result;
  const samples = samplesOf(server.metrics());
  const bounds = [...samples.keys()]
    .map((series) => /^queue_wait_seconds_bucket\{model="m",le="(.*)"\}$/.exec(series)?.[1])
    .filter((bound) => bound !== undefined);
  expect([bounds[0], bounds.at(-2), bounds.at(-1)]).toEqual(['0.005', '600', '+Inf']);
  const of = (name, suffix, bound) => samples.get(`${name}_${suffix}{model="m"${bound ? `,le="${bound}"` : ''}}`);
  expect(of('queue_wait_seconds', 'count')).toBe(2);
  expect(of('queue_wait_seconds', 'bucket', '0.025')).toBe(1);
  expect(of('queue_wait_seconds', 'sum')).toBeGreaterThanOrEqual(0.029);
  expect(of('request_duration_seconds', 'count')).toBe(2);
  expect(of('request_duration_seconds', 'bucket', '0.025')).toBe(0);
  expect(of('request_duration_seconds', 'bucket', '+Inf')).toBe(2);
  expect(of('first_chunk_seconds', 'count')).toBe(1);
});

test('what workers say about no attempt is counted, whether it is logged or not', async () => {
  const { server } = await startServer({ logger: undefined });
  const worker = await connectRequestWorker(server, 'w');
  for (let n = 0; n < 300; n += 1) worker.answer({ requestId: 'none', attempt: 1 }, 'progress');
  await worker.sync();
  expect(valueOf(server, 'stale_answers_total')).toBe(300);
});
