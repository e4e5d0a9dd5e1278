'use strict';

// `server.metrics()`: every metric, before, while and after the server runs; workers, the queue and the process.

const { block } = require('../support/fleet.js');
const { createServer, startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { nonzero, valueOf } = require('./support/metrics.js');

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
