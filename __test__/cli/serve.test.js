'use strict';

// `serve` as a process: what it prints, who may see what, and how it ends.

const net = require('net');
const { once } = require('events');
const WebSocket = require('ws');
const { onCleanup } = require('../support/cleanup.js');
const { request } = require('../support/http.js');
const { Worker } = require('../../lib/worker');
const { startCommand, runCommand, startServe, fileWith } = require('./support/command.js');

const CAPABILITIES = { models: [{ modelId: 'm' }], maxConcurrentRequests: 2, concurrencyLimits: { long: 1 } };

/** A worker that is registered. */
async function startWorker(serve, options = {}) {
  const worker = new Worker({
    url: serve.workers,
    workerId: 'w',
    capabilities: CAPABILITIES,
    handler: ({ path, body }) => ({ path, body }),
    handleSignals: [],
    reconnect: { maxAttempts: 0 },
    ...options,
  });
  worker.ended = worker.run();
  worker.ended.catch(() => {});
  onCleanup(() => worker.close());
  await new Promise((resolve, reject) => {
    worker.on('state', (state) => state === 'connected' && resolve());
    worker.ended.then(reject, reject);
  });
  return worker;
}

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const basic = (user, key) => ({ authorization: `Basic ${Buffer.from(`${user}:${key}`).toString('base64')}` });
const get = (serve, path, headers) => request(serve.port, { path, headers });

async function models(serve, headers) {
  const { status, text } = await get(serve, '/v1/models', headers);
  return status === 200 ? JSON.parse(text).data.map(({ id }) => id) : status;
}

test('prints four addresses, the bridge command, and the secrets that it has made', async () => {
  const serve = await startServe();
  const at = `127.0.0.1:${serve.port}`;
  const [workers, openai, status, metrics, bridge, ...secrets] = serve.lines;
  expect([workers, openai, status, metrics]).toEqual([
    `Workers ws://${at}`,
    `OpenAI http://${at}/v1`,
    `Status http://${at}/status`,
    `Metrics http://${at}/metrics`,
  ]);
  const [token, apiKey, adminKey] = secrets.map((line) => line.split(' ').at(-1));
  expect(secrets).toEqual([`Token ${token}`, `API key ${apiKey}`, `Admin key ${adminKey}`]);
  expect(new Set([token, apiKey, adminKey]).size).toBe(3);
  expect(bridge).toBe(
    `npx @hardlydifficult/worker-server bridge --server ws://${at} --token ${token} --upstream http://127.0.0.1:11434/v1`,
  );

  await startWorker(serve, { authToken: token });
  expect(await models(serve, bearer(apiKey))).toEqual(['m']);
  expect(await models(serve, bearer(adminKey))).toBe(401);
  expect((await get(serve, '/status', bearer(adminKey))).status).toBe(200);
  expect((await get(serve, '/status', bearer(apiKey))).status).toBe(401);
  await expect(startWorker(serve, { authToken: apiKey })).rejects.toMatchObject({ code: 4001 });
});

test('secrets that are given hold and are printed nowhere', async () => {
  const env = { WORKER_SERVER_TOKEN: 'token-sesame', WORKER_SERVER_ADMIN_KEY: 'admin-sesame' };
  const serve = await startServe('--api-key', 'key-sesame', '--api-key', 'other-sesame', { env });
  expect(serve.lines).toHaveLength(5);
  expect(serve.lines[4]).toContain(' --token "$WORKER_SERVER_TOKEN" ');
  await startWorker(serve, { authToken: 'token-sesame' });
  await expect(startWorker(serve, { authToken: 'wrong' })).rejects.toMatchObject({ code: 4001 });
  expect(await models(serve, bearer('key-sesame'))).toEqual(['m']);
  expect(await models(serve, bearer('other-sesame'))).toEqual(['m']);
  expect(await models(serve)).toBe(401);
  for (const path of ['/status', '/status.json', '/metrics', '/status/actions', '/status/events']) {
    const { status, headers } = await get(serve, path);
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toMatch(/^Basic /);
  }
  for (const headers of [bearer('admin-sesame'), basic('', 'admin-sesame'), basic('anyone', 'admin-sesame')]) {
    expect((await get(serve, '/status.json', headers)).status).toBe(200);
    expect((await get(serve, '/metrics', headers)).status).toBe(200);
  }
  for (const headers of [bearer('key-sesame'), basic('admin-sesame', ''), { authorization: 'admin-sesame' }]) {
    expect((await get(serve, '/status', headers)).status).toBe(401);
  }
  serve.child.kill('SIGTERM');
  const { stdout, stderr } = await serve.exit;
  expect(stdout + stderr).not.toContain('sesame');
});

test('secrets come from files, several tokens and keys a line each', async () => {
  const tokens = fileWith('token-sesame\nold-sesame\n');
  const keys = fileWith('\r\n key-sesame \r\n');
  const serve = await startServe('--token-file', tokens, { env: { WORKER_SERVER_API_KEY_FILE: keys } });
  expect(serve.lines.slice(5)).toEqual([expect.stringMatching(/^Admin key /)]);
  await startWorker(serve, { authToken: 'token-sesame', workerId: 'a' });
  await startWorker(serve, { authToken: 'old-sesame', workerId: 'b' });
  expect(await models(serve, bearer('key-sesame'))).toEqual(['m']);
});

test('a flag replaces both variables of a secret', async () => {
  const env = { WORKER_SERVER_TOKEN: 'variable-sesame', WORKER_SERVER_TOKEN_FILE: '/nowhere' };
  const serve = await startServe('--token', 'flag-sesame', { env });
  await startWorker(serve, { authToken: 'flag-sesame' });
  await expect(startWorker(serve, { authToken: 'variable-sesame' })).rejects.toMatchObject({ code: 4001 });
});

test.each([
  ['/nowhere/at-all', /--token-file: .*ENOENT/],
  ['', /--token-file: .* is empty/],
])('a token file that is no good is exit 1', async (text, line) => {
  const file = text === '' ? fileWith(text) : text;
  const { code, stdout, stderr } = await runCommand('serve', '--port', '0', '--token-file', file);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(line);
});

test('with --insecure there are no secrets, and only this machine gets in', async () => {
  const serve = startCommand('serve', '--port', '0', { env: { WORKER_SERVER_INSECURE: 'true' } });
  const [, port] = await serve.stdout(/^Workers ws:\/\/127\.0\.0\.1:(\d+)$/m);
  const [text] = await serve.stdout(/[^]*^npx .*$[^]*/m);
  expect(text.trimEnd().split('\n')).toHaveLength(5);
  expect(text).not.toContain('--token');
  const address = { port: Number(port), workers: `ws://127.0.0.1:${port}` };
  await startWorker(address);
  expect(await models(address)).toEqual(['m']);
  expect((await get(address, '/status.json')).status).toBe(200);
  expect((await get(address, '/metrics', { host: 'localhost:1' })).status).toBe(200);
  expect((await get(address, '/metrics', { host: 'elsewhere.example' })).status).toBe(403);
  expect((await get(address, '/metrics', { 'x-forwarded-for': '10.0.0.1' })).status).toBe(403);
});

test('secrets that are given hold with --insecure as well', async () => {
  const serve = await startServe('--insecure', '--admin-key', 'admin-sesame');
  expect((await get(serve, '/status')).status).toBe(401);
  expect((await get(serve, '/status', bearer('admin-sesame'))).status).toBe(200);
  expect(await models(serve)).toEqual([]);
});

test('/healthz and /readyz are open, and /readyz is 503 while it drains; it ends with 0 when its requests have ended', async () => {
  const serve = await startServe('--api-key', 'k', '--token', 't', '--admin-key', 'a');
  let begin;
  let finish;
  const begun = new Promise((resolve) => (begin = resolve));
  const finished = new Promise((resolve) => (finish = resolve));
  const handler = () => {
    begin();
    return finished;
  };
  await startWorker(serve, { authToken: 't', handler });
  const headers = { ...bearer('k'), 'content-type': 'application/json' };
  const body = '{"model":"m","messages":[]}';
  const answer = request(serve.port, { path: '/v1/chat/completions', method: 'POST', headers, body });
  await begun;
  for (const path of ['/healthz', '/readyz']) {
    expect((await get(serve, path)).status).toBe(200);
    expect((await request(serve.port, { path, method: 'HEAD' })).status).toBe(200);
    expect((await request(serve.port, { path, method: 'POST' })).status).toBe(405);
  }
  serve.child.kill('SIGTERM');
  while ((await get(serve, '/readyz')).status !== 503);
  expect((await get(serve, '/healthz')).status).toBe(200);
  finish({ late: true });
  expect(JSON.parse((await answer).text)).toEqual({ late: true });
  expect(await serve.exit).toMatchObject({ code: 0, signal: null });
});

test('a second SIGINT stops at once, with 0', async () => {
  const serve = await startServe('--insecure');
  await startWorker(serve, { handler: (_payload, { signal }) => once(signal, 'abort') });
  const headers = { 'content-type': 'application/json' };
  const body = '{"model":"m","messages":[]}';
  request(serve.port, { path: '/v1/chat/completions', method: 'POST', headers, body }).catch(() => {});
  while (JSON.parse((await get(serve, '/status.json')).text).workers[0].active === 0);
  serve.child.kill('SIGINT');
  while ((await get(serve, '/readyz')).status !== 503);
  serve.child.kill('SIGINT');
  expect(await serve.exit).toMatchObject({ code: 0, signal: null });
});

test('a port that is taken is exit 1', async () => {
  const other = net.createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onCleanup(() => other.close());
  const { port } = other.address();
  const { code, stdout, stderr } = await runCommand('serve', '--host', '127.0.0.1', {
    env: { WORKER_SERVER_PORT: port },
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(`worker-server serve: port ${port} of 127.0.0.1 is taken (EADDRINUSE)\n`);
});

test('--cluster says which package is missing: exit 1, and no secret', async () => {
  const { code, stderr } = await runCommand('serve', '--cluster', 'redis://user:sesame@127.0.0.1:9');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^worker-server serve: --cluster.*\n$/);
  expect(stderr).not.toContain('sesame');
});

describe('status and actions', () => {
  const json = { 'content-type': 'application/json' };
  const act = (serve, body, headers = json) =>
    request(serve.port, { path: '/status/actions', method: 'POST', headers, body: JSON.stringify(body) });
  const statusOf = async (serve) => JSON.parse((await get(serve, '/status.json')).text);

  test('/status.json has the workers and the queue, the page and the metrics show them', async () => {
    const serve = await startServe('--insecure');
    await startWorker(serve, { workerName: '<b>&' });
    const status = await statusOf(serve);
    expect(status).toMatchObject({
      state: 'running',
      version: require('../../package.json').version,
      queue: { size: 0, bytes: 0, oldestMs: 0, byModel: {} },
      requests: [],
      nodes: null,
    });
    expect(status.uptimeMs).toBeGreaterThanOrEqual(0);
    expect(status.workers).toEqual([
      expect.objectContaining({
        id: 'w',
        name: '<b>&',
        status: 'available',
        active: 0,
        slots: 2,
        categories: { long: { active: 0, limit: 1 } },
        models: ['m'],
      }),
    ]);
    const [worker] = status.workers;
    expect(worker.heartbeatAgeMs).toBeGreaterThanOrEqual(0);
    expect(new Date(worker.connectedAt).toISOString()).toBe(worker.connectedAt);
    const page = await get(serve, '/status');
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.text).not.toContain('<b>&');
    const metrics = await get(serve, '/metrics');
    expect(metrics.text).toMatch(/^worker_server_workers\{status="available"\} 1$/m);
  });

  test('drain, resume and disconnect a worker', async () => {
    const serve = await startServe('--insecure');
    const worker = await startWorker(serve);
    const stands = async () => (await statusOf(serve)).workers.map(({ status }) => status);
    expect((await act(serve, { action: 'drain', workerId: 'w' })).status).toBe(200);
    expect(await stands()).toEqual(['draining']);
    const origin = `http://127.0.0.1:${serve.port}`;
    expect((await act(serve, { action: 'resume', workerId: 'w' }, { ...json, origin })).status).toBe(200);
    expect(await stands()).toEqual(['available']);
    expect((await act(serve, { action: 'disconnect', workerId: 'w' })).status).toBe(200);
    await worker.ended;
  });

  test('refuse what is odd', async () => {
    const serve = await startServe('--insecure');
    await startWorker(serve);
    const drain = { action: 'drain', workerId: 'w' };
    const statuses = [
      [403, drain, {}],
      [403, drain, { 'content-type': 'text/plain' }],
      [403, drain, { ...json, origin: 'http://elsewhere.example' }],
      [403, drain, { ...json, origin: 'null' }],
      [404, { action: 'drain', workerId: 'x' }],
      [400, { action: 'explode', workerId: 'w' }],
      [400, { action: 'toString', workerId: 'w' }],
      [400, { action: 'drain', workerId: 5 }],
      [400, null],
      [413, { action: 'drain', workerId: 'x'.repeat(20_000) }],
    ];
    for (const [status, body, headers] of statuses)
      expect([body, (await act(serve, body, headers)).status]).toEqual([body, status]);
    expect((await request(serve.port, { path: '/status/actions' })).status).toBe(405);
    expect((await statusOf(serve)).workers[0].status).toBe('available');
  });
});

test('what is nobody’s is 404', async () => {
  const serve = await startServe('--insecure');
  for (const path of ['/', '/statusx', '/healthz/x']) expect((await get(serve, path)).status).toBe(404);
});

test('an address that has sent ten wrong tokens gets 429, and who has the right one as Bearer still gets in', async () => {
  const serve = await startServe('--token', 'right');
  const attempt = (token, headers = {}) => {
    const ws = new WebSocket(serve.workers, { headers });
    onCleanup(() => ws.terminate());
    return new Promise((resolve) => {
      ws.on('error', (error) => resolve(error.message));
      ws.on('close', (code) => resolve(code));
      ws.on('message', (text) => JSON.parse(text).success && resolve('in'));
      const registration = { type: 'worker_registration', workerId: 'w', authToken: token, capabilities: CAPABILITIES };
      ws.on('open', () => ws.send(JSON.stringify(registration)));
    });
  };
  for (let i = 0; i < 10; i += 1) expect(await attempt('wrong')).toBe(4001);
  expect(await attempt('right')).toMatch(/429/);
  expect(await attempt('right', bearer('right'))).toBe('in');
});
