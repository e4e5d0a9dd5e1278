'use strict';

// Prometheus reads the metrics, and its own tool finds nothing to complain of, in them nor in `examples/monitoring/`. Where they
// aren't installed these tests are skipped.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const promClient = require('prom-client');
const { onCleanup } = require('../support/cleanup.js');
const { examplesIn, runExample } = require('../support/doc-examples.js');
const { request } = require('../support/http.js');
const { testWith } = require('../support/installed.js');
const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { samplesOf } = require('./support/metrics.js');

const MONITORING = path.join(__dirname, '../../examples/monitoring');
const testWithPromtool = testWith('promtool');
const testWithPrometheus = testWith('prometheus');

/** What promtool says, given a text; empty if it has nothing to say. */
function promtool(args, input) {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, cwd: MONITORING, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

/** A server on which everything has happened once: a result, an error, a chunk, a rejection, odd names. */
async function busyServer() {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', {
    models: ['m', 'a"b\\c\nd\u202e', 'é'.repeat(100)],
    slots: 9,
  });
  const first = server.request({}, { model: 'm' });
  worker.answer(await worker.nextRequest(), 'result');
  const second = server.stream({}, { model: 'unknown', requestId: 's', workerId: 'w' });
  second.cancel();
  const third = server.stream({}, { model: 'a"b\\c\nd\u202e' });
  const asked = await worker.nextRequest();
  worker.answer(asked, 'chunk', { seq: 0, data: 1 });
  worker.answer(asked, 'error', { error: {} });
  await Promise.all([first, rejection(second.result), rejection(third.result)]);
  server.request({}, { model: 'm' }).catch(() => {});
  return server;
}

testWithPromtool(
  'promtool finds nothing to complain of in the metrics, before the start, while it runs and after the stop',
  async () => {
    const { server: idle } = await startServer();
    const server = await busyServer();
    const texts = [idle.metrics(), server.metrics()];
    await server.stop();
    for (const text of [...texts, server.metrics()]) {
      expect(promtool(['check', 'metrics'], text)).toEqual({ status: 0, output: '' });
    }
  },
);

testWithPromtool('promtool takes the configuration, the rules and their tests', () => {
  for (const args of [
    ['check', 'config', 'prometheus.yml'],
    ['check', 'rules', 'alerts.yml'],
    ['test', 'rules', 'alerts.test.yml'],
  ]) {
    expect(promtool(args)).toEqual({ status: 0, output: expect.stringContaining('SUCCESS') });
  }
});

/** The queries of the dashboard, with what stands in for its variables. */
function dashboardQueries() {
  const dashboard = JSON.parse(fs.readFileSync(path.join(MONITORING, 'dashboard.json'), 'utf8'));
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  return queries.map((query) => query.replaceAll('$__rate_interval', '5m').replaceAll(/\$(instance|model)\b/g, '.*'));
}

testWithPromtool('promtool takes every query of the dashboard', () => {
  const rules = dashboardQueries().map((expr, n) => ({ record: `query_${n}`, expr }));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'rules.yml');
  // JSON is YAML.
  fs.writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  expect(promtool(['check', 'rules', file])).toEqual({
    status: 0,
    output: expect.stringContaining(`${rules.length} rules found`),
  });
});

test('rules and dashboard ask for metrics that there are, and the dashboard for all of them', async () => {
  const { server } = await startServer();
  const known = [...server.metrics().matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
  const rules = fs.readFileSync(path.join(MONITORING, 'alerts.yml'), 'utf8');
  const namesIn = (text) => [...new Set(text.match(/worker_server_\w+/g))].map((name) => name.replace(/_bucket$/, ''));
  expect(namesIn(rules).filter((name) => !known.includes(name))).toEqual([]);
  expect(namesIn(dashboardQueries().join(' ')).sort()).toEqual(known.sort());
});

/** A Prometheus that scrapes a port ten times a second; resolves with what its HTTP interface answers. */
async function startPrometheus(port) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-'));
  const config = {
    global: { scrape_interval: '100ms', scrape_timeout: '100ms' },
    scrape_configs: [{ job_name: 'worker-server', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  };
  fs.writeFileSync(path.join(folder, 'prometheus.yml'), JSON.stringify(config));
  const child = spawn('prometheus', [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    '--web.listen-address=127.0.0.1:0',
  ]);
  onCleanup(async () => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    fs.rmSync(folder, { recursive: true, force: true });
  });
  let said = '';
  while (!said.includes('Server is ready')) said += (await once(child.stderr, 'data'))[0];
  const match = /msg="Listening on" address=127\.0\.0\.1:(\d+)/.exec(said);
  child.stderr.resume();
  return async (route) => JSON.parse((await request(Number(match[1]), { path: `/api/v1/${route}` })).text).data;
}

testWithPrometheus('a real Prometheus scrapes a server, and has its values and names', async () => {
  const server = await busyServer();
  server.addHttpHandler((req, res) => {
    if (req.url !== '/metrics') return false;
    res.setHeader('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
    res.end(server.metrics());
    return true;
  });
  const ask = await startPrometheus(server.port);
  const query = async (text) => (await ask(`query?query=${encodeURIComponent(text)}`)).result;
  let found = [];
  while (found.length === 0) {
    found = await query('worker_server_requests_total{outcome="error"} > 0');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(found[0].metric.model).toBe('a"b\\c\nd\u202e');
  const { activeTargets } = await ask('targets');
  expect(activeTargets).toEqual([expect.objectContaining({ health: 'up', lastError: '' })]);
  const [duration] = await query('worker_server_request_duration_seconds_count{model="m"}');
  expect(Number(duration.value[1])).toBe(samplesOf(server.metrics()).get('request_duration_seconds_count{model="m"}'));
  expect((await query('worker_server_worker_slots')).map(({ metric }) => metric.model)).toContain('é'.repeat(64));
  const types = await ask('metadata');
  expect(types.worker_server_queue_wait_seconds[0].type).toBe('histogram');
});

describe('beside prom-client', () => {
  const example = () => examplesIn('docs/OBSERVABILITY.md').find(([, code]) => code.includes('prom-client'))[1];
  const scrape = async () => {
    const server = await busyServer();
    onCleanup(() => promClient.register.clear());
    await runExample(example(), server);
    return request(server.port, { path: '/metrics' });
  };

  test('the example of the guide answers with the metrics of both', async () => {
    const { status, headers, text } = await scrape();
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text).toMatch(/^process_cpu_user_seconds_total /m);
    expect(text).toMatch(/^worker_server_workers\{status="available"\} 1$/m);
  });

  testWithPromtool('promtool finds no metric of ours to complain of in it', async () => {
    const { output } = promtool(['check', 'metrics'], (await scrape()).text);
    expect(output).not.toContain('worker_server');
    expect(output).not.toMatch(/error/i);
  });
});
