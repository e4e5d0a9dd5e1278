'use strict';

// `server.metrics()`: every metric, before, while and after the server runs.

const { setTimeout: sleep } = require('node:timers/promises');
const http = require('node:http');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { onCleanup } = require('../support/cleanup.js');
const { block } = require('../support/fleet.js');
const { createServer, nextCall, startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');
const { nonzero, samplesOf, valueOf } = require('./support/metrics.js');

/** Every metric, with its type and the labels that it has. */
const METRICS = {
  workers: ['gauge', 'status'],
  worker_slots: ['gauge', 'model'],
  worker_slots_busy: ['gauge', 'model'],
  queue_requests: ['gauge', 'model,priority'],
  queue_oldest_seconds: ['gauge', ''],
  requests_total: ['counter', 'model,outcome'],
  request_attempts_total: ['counter', 'reason'],
  stale_answers_total: ['counter', ''],
  connections: ['gauge', ''],
  connections_total: ['counter', 'result'],
  disconnects_total: ['counter', 'code'],
  messages_total: ['counter', 'direction'],
  bytes_total: ['counter', 'direction'],
  heartbeat_age_seconds: ['gauge', ''],
  event_loop_lag_seconds: ['gauge', ''],
  auth_failures_total: ['counter', ''],
  limit_hits_total: ['counter', 'limit'],
  log_lines_suppressed_total: ['counter', ''],
  cluster_dropped_total: ['counter', 'reason'],
  queue_wait_seconds: ['histogram', 'model'],
  request_duration_seconds: ['histogram', 'model'],
  first_chunk_seconds: ['histogram', 'model'],
};

/** What the text says of each metric: its type, and its labels. */
function described(text) {
  const found = {};
  let name;
  for (const line of text.trimEnd().split('\n')) {
    const [, help] = /^# HELP worker_server_(\w+) .+\.$/.exec(line) ?? [];
    if (help !== undefined) {
      name = help;
      found[name] = [null, null];
      continue;
    }
    const [, typed, type] = /^# TYPE worker_server_(\w+) (\w+)$/.exec(line) ?? [];
    if (typed !== undefined) {
      expect(typed).toBe(name);
      found[name][0] = type;
      continue;
    }
    const [, metric, labels = ''] = /^worker_server_(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? [\d.e+-]+$/.exec(line);
    expect(metric).toBe(name);
    found[name][1] ??= [...labels.matchAll(/(\w+)="/g)]
      .map(([, label]) => label)
      .filter((label) => label !== 'le')
      .join();
  }
  return found;
}

const texts = async () => {
  const { server } = createServer();
  const before = server.metrics();
  await server.start();
  const running = server.metrics();
  await server.stop();
  return { before, running, after: server.metrics() };
};

test.each(['before', 'running', 'after'])('every metric has its HELP, TYPE and labels: %s', async (when) => {
  const text = (await texts())[when];
  expect(described(text)).toEqual(METRICS);
  expect(text.endsWith('\n')).toBe(true);
});

test('workers are counted by status, all four', async () => {
  const { server } = await startServer();
  const counts = () =>
    ['available', 'busy', 'draining', 'unhealthy'].map((status) => valueOf(server, `workers{status="${status}"}`));
  expect(counts()).toEqual([0, 0, 0, 0]);
  for (const id of ['a', 'b', 'c']) await connectWorker(server, id, { capabilities: capabilitiesOf(['m'], 1) });
  server.trackRequest('a', 'r');
  server.setWorkerStatus('b', 'draining');
  expect(counts()).toEqual([1, 1, 1, 0]);
});

test('an unhealthy worker is counted, and how long it has been silent', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 20, healthCheckIntervalMs: 5 });
  const worker = await connectWorker(server, 'w');
  await log.line('Worker heartbeat timeout');
  expect(valueOf(server, 'workers{status="unhealthy"}')).toBe(1);
  expect(valueOf(server, 'heartbeat_age_seconds')).toBeGreaterThanOrEqual(0.02);
  worker.ws.terminate();
  await log.line('Worker disconnected');
  expect(valueOf(server, 'heartbeat_age_seconds')).toBe(0);
});

test('the slots of a worker count for each of its models, busy or not', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'a', { capabilities: capabilitiesOf(['m', 'n', 'o'], 3) });
  await connectWorker(server, 'b', { capabilities: capabilitiesOf(['m'], 2) });
  await connectWorker(server, 'c', { capabilities: capabilitiesOf([], 7) });
  server.trackRequest('a', 'r1');
  server.trackRequest('b', 'r2');
  expect(nonzero(server, 'worker_slots')).toEqual({ 'model="m"': 5, 'model="n"': 3, 'model="o"': 3, 'model="any"': 7 });
  expect(nonzero(server, 'worker_slots_busy')).toEqual({ 'model="m"': 2, 'model="n"': 1, 'model="o"': 1 });
});

test('models that a worker offers later are labels too', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { models: ['m'], slots: 1 });
  await rejection(server.request({}, { model: 'n', signal: AbortSignal.abort() }));
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['n'], 4) });
  await worker.next('worker_update_ack');
  await rejection(server.request({}, { model: 'n', signal: AbortSignal.abort() }));
  expect(nonzero(server, 'worker_slots')).toEqual({ 'model="n"': 4 });
  expect(nonzero(server, 'requests_total')).toEqual({
    'model="other",outcome="cancelled"': 1,
    'model="n",outcome="cancelled"': 1,
  });
});

test('what waits is counted by model and priority, with the age of the oldest', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  const options = [{ model: 'm' }, { model: 'm', priority: 'low' }, { model: 'x', priority: 'high' }, {}, {}];
  const requests = options.map((each) => server.request({}, each).catch(() => {}));
  expect(nonzero(server, 'queue_requests')).toEqual({
    'model="m",priority="medium"': 1,
    'model="m",priority="low"': 1,
    'model="other",priority="high"': 1,
    'model="any",priority="medium"': 2,
  });
  await until(() => valueOf(server, 'queue_oldest_seconds') >= 0.005);
  await server.stop();
  await Promise.all(requests);
  expect(nonzero(server, 'queue_requests')).toEqual({});
  expect(valueOf(server, 'queue_oldest_seconds')).toBe(0);
});

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

test('connections are counted: those that are open, and how each came and went', async () => {
  const { server, log } = await startServer({ limits: { maxConnections: 2 } });
  const a = await connectWorker(server, 'a');
  const b = await connect(server);
  await expect(connect(server)).rejects.toThrow('503');
  expect(valueOf(server, 'connections')).toBe(2);
  expect(nonzero(server, 'connections_total')).toEqual({ 'result="accepted"': 2, 'result="refused"': 1 });
  expect(nonzero(server, 'limit_hits_total')).toEqual({ 'limit="maxConnections"': 1 });
  a.ws.close(1000);
  await log.line('Worker disconnected');
  b.ws.close(3210);
  await log.line('Unregistered WebSocket connection closed');
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1000"': 1, 'code="other"': 1 });
  await until(() => valueOf(server, 'connections') === 0);
});

test('an upgrade that a draining server refuses, and one that is none, are refused', async () => {
  const { server } = await startServer();
  const { port } = server;
  const req = http.get({
    port,
    headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'short' },
  });
  await once(req, 'response');
  void server.drain();
  await expect(connect(server)).rejects.toThrow('503');
  expect(nonzero(server, 'connections_total')).toEqual({ 'result="refused"': 2 });
});

test('a connection that this server ends is counted once, with its code', async () => {
  const { server, log } = await startServer({ authToken: 'right', heartbeatTimeoutMs: 10, healthCheckIntervalMs: 5 });
  const wrong = await connect(server);
  wrong.register('w', { authToken: 'wrong' });
  await wrong.closed;
  const first = await connectWorker(server, 'v', { authToken: 'right' });
  await log.line('Worker disconnected');
  await first.closed;
  await until(() => valueOf(server, 'connections') === 0);
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="4001"': 1, 'code="4003"': 1 });
  expect(valueOf(server, 'auth_failures_total')).toBe(1);
});

test('a connection that is lost without a close frame has ended with 1006, and one that stop() closed with 1001', async () => {
  const { server, log } = await startServer();
  const lost = await connectWorker(server, 'w');
  lost.ws.terminate();
  await log.line('Worker disconnected');
  await connectWorker(server, 'v');
  await server.stop();
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1001"': 1, 'code="1006"': 1 });
});

test('messages and their bytes are counted in both directions, and a handler sees those up to its own', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const before = [nonzero(server, 'messages_total'), nonzero(server, 'bytes_total')];
  const seen = nextCall((handler) =>
    server.onWorkerMessage('x', () => handler(valueOf(server, 'messages_total{direction="in"}'))),
  );
  const [text, heartbeat] = ['{"type":"x","text":"é"}', '{"type":"heartbeat","workerId":"w","timestamp":"t"}'];
  worker.sendText(heartbeat);
  const ack = await worker.next('heartbeat_ack');
  worker.sendText(text);
  expect(await seen).toEqual([before[0]['direction="in"'] + 2]);
  server.send('w', { n: 'é' });
  server.broadcast({ n: 2 });
  await worker.next();
  const bytes = (...all) => all.reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  expect(nonzero(server, 'messages_total')).toEqual({
    'direction="in"': before[0]['direction="in"'] + 2,
    'direction="out"': before[0]['direction="out"'] + 3,
  });
  expect(nonzero(server, 'bytes_total')).toEqual({
    'direction="in"': before[1]['direction="in"'] + bytes(text, heartbeat),
    'direction="out"': before[1]['direction="out"'] + bytes(JSON.stringify(ack), '{"n":"é"}', '{"n":2}'),
  });
});

test('log lines that are left out are counted', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  for (let n = 0; n < 150; n += 1) worker.sendText('no JSON');
  await worker.sync();
  await until(() => valueOf(server, 'log_lines_suppressed_total') === 50);
});

test('how late the event loop is shows once somebody asks', async () => {
  const { server } = await startServer();
  expect(valueOf(server, 'event_loop_lag_seconds')).toBeLessThan(60);
  block(250);
  expect(valueOf(server, 'event_loop_lag_seconds')).toBeGreaterThanOrEqual(0.1);
  await server.stop();
  expect(valueOf(server, 'event_loop_lag_seconds')).toBe(0);
});

test('counters go on when the server is started again, and what is true of the moment does not', async () => {
  const { server } = createServer();
  for (const n of [1, 2]) {
    await server.start();
    const worker = await connectRequestWorker(server, 'w');
    const promise = server.request({}, { model: 'm' });
    worker.answer(await worker.nextRequest(), 'result');
    await promise;
    expect(valueOf(server, 'worker_slots{model="m"}')).toBe(2);
    await server.stop();
    expect(valueOf(server, 'requests_total{model="m",outcome="completed"}')).toBe(n);
    expect(valueOf(server, 'connections_total{result="accepted"}')).toBe(n);
    expect(valueOf(server, 'request_duration_seconds_count{model="m"}')).toBe(n);
    expect(valueOf(server, 'worker_slots{model="m"}')).toBe(0);
    expect(valueOf(server, 'connections')).toBe(0);
  }
});

test('two servers count for themselves', async () => {
  const [one, other] = [await startServer(), await startServer()];
  await connectWorker(one.server, 'w');
  expect(valueOf(one.server, 'connections')).toBe(1);
  expect(valueOf(other.server, 'connections_total{result="accepted"}')).toBe(0);
});

test('a worker id stands nowhere', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w-secret-id', { models: ['m'] });
  const promise = server.request({}, { requestId: 'r-secret-id' });
  worker.answer(await worker.nextRequest(), 'result');
  await promise;
  expect(server.metrics()).not.toContain('secret');
});

test('the labels of limits are the names of the limits', () => {
  const { defaults, metricLabels } = require('../../lib/native/abi.js');
  const names = Object.values(defaults).flatMap((group) => Object.keys(group));
  const limits = Object.keys({ ...defaults.limits, ...defaults.requestLimits });
  expect(limits.filter((name) => !metricLabels.limits.includes(name))).toEqual([]);
  expect(names.length).toBeGreaterThan(limits.length);
});

test('more requests than fit into one crossing are all counted', async () => {
  const { server } = createServer();
  const requests = Array.from({ length: 2_000 }, () => server.request({}).catch(() => {}));
  await Promise.all(requests);
  expect(valueOf(server, 'requests_total{model="any",outcome="stopping"}')).toBe(2_000);
});

test('a socket that a stranger opens and drops is a connection too', async () => {
  const { server, log } = await startServer();
  const ws = new WebSocket(`ws://localhost:${server.port}`);
  onCleanup(() => ws.terminate());
  await once(ws, 'open');
  ws.terminate();
  await log.line('Unregistered WebSocket connection closed');
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1006"': 1 });
});
