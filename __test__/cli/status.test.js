'use strict';

// `status` and `drain`, with a server of `serve` and with what is none.

const http = require('http');
const net = require('net');
const { once } = require('events');
const { onCleanup } = require('../support/cleanup.js');
const { Worker } = require('../../lib/worker');
const { runCommand, startCommand, startServe } = require('./support/command.js');

async function startWorker(serve, workerId, workerName) {
  const capabilities = { models: [{ modelId: 'm' }, { modelId: 'n' }], maxConcurrentRequests: 2 };
  const options = { url: serve.workers, workerId, workerName, capabilities, handler() {}, handleSignals: [] };
  const worker = new Worker({ ...options, authToken: 't' });
  worker.run().catch(() => {});
  onCleanup(() => worker.close());
  await new Promise((resolve) => worker.on('state', (state) => state === 'connected' && resolve()));
  return worker;
}

const serveWithKey = () => startServe('--token', 't', '--api-key', 'k', '--admin-key', 'admin-sesame');
const KEY = { env: { WORKER_SERVER_KEY: 'admin-sesame' } };

/** A server that answers whatever it is asked. */
async function startAnswering(status, text, headers) {
  const requests = [];
  const server = http.createServer((req, res) => {
    requests.push(`${req.method} ${req.url}`);
    res.writeHead(status, headers).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** An address at which nothing listens. */
async function nobody() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

test('status shows the workers as a table, wherever the URL points', async () => {
  const serve = await serveWithKey();
  await startWorker(serve, 'w1', 'first\u001b[31m');
  await startWorker(serve, 'w2');
  for (const url of [
    serve.http,
    `${serve.http}/`,
    `${serve.http}/status`,
    `${serve.http}/status.json`,
    serve.workers,
  ]) {
    const { code, stdout, stderr } = await runCommand('status', url, KEY);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^worker-server \S+: running, up \d+s\nnothing waits\n\nWORKER +NAME +ADDRESS +STATUS /);
    expect(stdout).toMatch(/^w1 +first\ufffd\[31m +\S+ +available +0\/2 +\d+s +m, n$/m);
    expect(stdout).toMatch(/^w2 +w2 /m);
  }
});

test('status --json is the JSON of the status page', async () => {
  const serve = await serveWithKey();
  await startWorker(serve, 'w1', 'a\u009b');
  const { code, stdout } = await runCommand('status', serve.http, '--json', KEY);
  expect(code).toBe(0);
  expect(stdout).not.toContain('\u009b');
  expect(JSON.parse(stdout)).toMatchObject({ state: 'running', workers: [{ id: 'w1', name: 'a\u009b', slots: 2 }] });
});

test.each(['SIGINT', 'SIGTERM'])('status --watch shows it again until %s, which is exit 0', async (signal) => {
  const serve = await serveWithKey();
  const watching = startCommand('status', serve.http, '--watch', '--json', '--key', 'admin-sesame');
  await watching.stdout(/^\{.*\}\n\{.*"workers":\[\].*\}$/m);
  await startWorker(serve, 'w1');
  await watching.stdout(/"id":"w1"/);
  watching.child.kill(signal);
  expect(await watching.exit).toMatchObject({ code: 0, signal: null, stderr: '' });
});

test('drain has a worker drain, by its id or by a name that is its alone', async () => {
  const serve = await serveWithKey();
  await startWorker(serve, 'w1', 'box');
  await startWorker(serve, 'w2', 'twin');
  await startWorker(serve, 'w3', 'twin');
  expect(await runCommand('drain', serve.http, 'w2', KEY)).toMatchObject({
    code: 0,
    stdout: 'w2 drains\n',
    stderr: '',
  });
  expect(await runCommand('drain', `${serve.http}/status`, 'box', KEY)).toMatchObject({ code: 0 });
  const { stdout } = await runCommand('status', serve.http, '--json', KEY);
  const statuses = JSON.parse(stdout).workers.map(({ id, status }) => `${id} ${status}`);
  expect(statuses).toEqual(['w1 draining', 'w2 draining', 'w3 available']);
  const twin = await runCommand('drain', serve.http, 'twin', KEY);
  expect(twin).toMatchObject({
    code: 1,
    stderr: "worker-server drain: 'twin' is the name of 2 workers: give an id\n",
  });
});

describe.each([
  ['status', []],
  ['drain', ['w']],
])('%s', (name, more) => {
  const run = (url, ...args) => runCommand(name, url, ...more, ...args);

  test('without the key, or with a wrong one, is exit 1', async () => {
    const serve = await serveWithKey();
    const without = await run(serve.http);
    expect(without).toMatchObject({ code: 1, stdout: '' });
    expect(without.stderr).toMatch(/ needs --key\n$/);
    const wrong = await run(serve.http, '--key', 'wrong-sesame');
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toMatch(/ refused the key\n$/);
    expect(wrong.stderr).not.toContain('sesame');
  });

  test('of a server that is not there is exit 1', async () => {
    const { code, stdout, stderr } = await run(await nobody(), '--key', 'admin-sesame');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^worker-server \w+: http:\S+ can't be reached \(ECONNREFUSED\)\n$/);
  });

  test('of a server of another kind is exit 1', async () => {
    for (const [status, text] of [
      [200, 'hello'],
      [200, '{"workers":5}'],
      [404, '{}'],
      [500, 'no'],
    ]) {
      const { url } = await startAnswering(status, text);
      if (name === 'drain' && status === 200) continue;
      const { code, stdout, stderr } = await run(url);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  test('follows no redirect, which would take the key elsewhere', async () => {
    const elsewhere = await startAnswering(200, '{"workers":[]}');
    const { url } = await startAnswering(302, '', { location: `${elsewhere.url}/status.json` });
    expect((await run(url, '--key', 'admin-sesame')).code).toBe(1);
    expect(elsewhere.requests).toEqual([]);
  });
});

test('drain of an unknown worker is exit 1', async () => {
  const serve = await serveWithKey();
  const { code, stdout, stderr } = await runCommand('drain', serve.http, 'nobody', KEY);
  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: '',
    stderr: "worker-server drain: no worker 'nobody'\n",
  });
});
