'use strict';

// The bridge between the real server and an upstream that does as it should.

const { nextCall, until } = require('../support/server.js');
const { selfSigned } = require('../support/certificates.js');
const { testWith } = require('../support/installed.js');
const { chat, collect, failureOf, startBridge, updated } = require('./support/bridge.js');
const { answerWell, startUpstream } = require('./support/upstream.js');

const modelsOf = (worker) => worker.capabilities.models.map(({ modelId }) => modelId);

test('registers with the models of its upstream, one request at once', async () => {
  const { worker } = await startBridge({ args: ['--name', 'box'], upstream: { models: ['b', 'a'] } });
  expect(worker).toMatchObject({ name: 'box', status: 'available', capabilities: { maxConcurrentRequests: 1 } });
  expect(modelsOf(worker)).toEqual(['b', 'a']);
  expect(worker.capabilities.models[0]).toEqual({
    modelId: 'b',
    displayName: 'b',
    maxContextTokens: 0,
    maxOutputTokens: 0,
    supportsStreaming: true,
  });
});

test.each([
  [['--models', 'a, c'], ['a'], 1, undefined],
  [['--concurrency', '7'], ['a', 'b'], 7, { total_slots: 3 }],
  [[], ['a', 'b'], 3, { total_slots: 3 }],
  [[], ['a', 'b'], 1, { total_slots: 'many' }],
])('with %j it offers %j, %i at once', async (args, models, atOnce, props) => {
  const { worker } = await startBridge({ args, upstream: { models: ['a', 'b'], props } });
  expect(modelsOf(worker)).toEqual(models);
  expect(worker.capabilities.maxConcurrentRequests).toBe(atOnce);
});

test('takes its flags from variables', async () => {
  const { worker } = await startBridge({
    env: { WORKER_SERVER_NAME: 'from-env', WORKER_SERVER_CONCURRENCY: '4', WORKER_SERVER_MODELS: 'm,n' },
    upstream: { models: ['m', 'o'] },
  });
  expect(worker).toMatchObject({ name: 'from-env', capabilities: { maxConcurrentRequests: 4 } });
  expect(modelsOf(worker)).toEqual(['m']);
});

test('passes on each endpoint, its body and its answer', async () => {
  const { server, upstream } = await startBridge();
  const paths = ['/chat/completions', '/completions', '/embeddings', '/responses'];
  for (const path of paths) {
    const body = { model: 'm', odd: { __proto__: null, nested: ['ü', 1, null] } };
    expect(await server.request({ path, body })).toEqual({ echo: body });
  }
  const posts = upstream.requests.filter(({ method }) => method === 'POST');
  expect(posts.map(({ url }) => url)).toEqual(paths.map((path) => `/v1${path}`));
});

test('passes on a stream event by event, and no [DONE]', async () => {
  const { server } = await startBridge();
  const stream = server.stream(chat({ stream: true }));
  expect(await collect(stream)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect(await stream.result).toBeUndefined();
});

test('passes on an event while the next one is not there yet', async () => {
  let goOn;
  const { server } = await startBridge({
    upstream: {
      answer(req, res) {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: {"n":1}\n\n');
        goOn = () => res.end('data: {"n":2}\n\ndata: [DONE]\n\n');
      },
    },
  });
  const stream = server.stream(chat({ stream: true }));
  expect(await stream.next()).toEqual({ done: false, value: { n: 1 } });
  goOn();
  expect(await collect(stream)).toEqual([{ n: 2 }]);
});

test('a stream that is answered with JSON is a result without chunks', async () => {
  const { server } = await startBridge({
    upstream: { answer: (req, res, body) => answerWell(req, res, { ...body, stream: false }) },
  });
  const stream = server.stream(chat({ stream: true }));
  expect(await collect(stream)).toEqual([]);
  expect(await stream.result).toMatchObject({ echo: { model: 'm' } });
});

test.each([
  '/models',
  '/chat/completions/',
  '/chat/completions?x=1',
  '/../v1/chat/completions',
  '/chat/../completions',
  '//elsewhere/chat/completions',
  '@elsewhere/chat/completions',
  'http://127.0.0.1/v1/chat/completions',
  'chat/completions',
  '/CHAT/completions',
  '/chat%2fcompletions',
  '/embeddings#x',
  '',
  5,
  null,
  ['/completions'],
])('the path %j is unsupported, 404, and reaches nobody', async (path) => {
  const { server, upstream } = await startBridge();
  const { code, data, started } = await failureOf(server.request({ path, body: {} }));
  expect({ code, started }).toEqual({ code: 'WORKER_ERROR', started: true });
  expect(data).toMatchObject({ code: 'unsupported', retryable: false, data: { status: 404 } });
  expect(data.data.body.error).toMatchObject({ type: 'invalid_request_error', param: null, code: 'unsupported' });
  expect(upstream.called()).toEqual(['GET /props', 'GET /v1/models']);
});

test.each([null, 'text', 5, []])('a payload %j, and one with it as the body, are refused', async (odd) => {
  const { server, upstream } = await startBridge();
  expect((await failureOf(server.request(odd))).data).toMatchObject({ data: { status: 404 } });
  const { data } = await failureOf(server.request({ path: '/embeddings', body: odd }));
  expect(data).toMatchObject({ code: 'invalid_body', data: { status: 400 } });
  expect(upstream.called()).toEqual(['GET /props', 'GET /v1/models']);
});

test('of the client only the body goes on, and the key is the upstream’s own', async () => {
  const { server, upstream } = await startBridge({ env: { WORKER_SERVER_UPSTREAM_KEY: 'key-sesame' } });
  await server.request({ ...chat(), method: 'DELETE', host: 'elsewhere', headers: { 'x-client': 'client' } });
  for (const { headers } of upstream.requests) {
    expect(headers.authorization).toBe('Bearer key-sesame');
    expect(headers.host).toBe(new URL(upstream.url).host);
  }
  const { headers, method } = upstream.requests.at(-1);
  expect(method).toBe('POST');
  expect(Object.keys(headers).sort()).toEqual([
    'accept',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
  ]);
});

test('the server is notified of models that come and go', async () => {
  const { server, upstream } = await startBridge({ args: ['--refresh-ms', '20'] });
  upstream.models = ['m', 'n'];
  expect(modelsOf(await updated(server, (worker) => worker.capabilities.models.length === 2))).toEqual(['m', 'n']);
  expect(await server.request(chat(), { model: 'n', modelMatch: 'exact' })).toBeDefined();
  upstream.models = [];
  expect(modelsOf(await updated(server, (worker) => worker.capabilities.models.length === 0))).toEqual([]);
});

test('models that stay cause no update', async () => {
  const { server, upstream } = await startBridge({ args: ['--refresh-ms', '10'] });
  const changes = [];
  server.onWorkerUpdated((_worker, change) => changes.push(change));
  const asked = () => upstream.requests.filter(({ url }) => url === '/v1/models').length;
  const before = asked();
  await until(() => asked() >= before + 5);
  expect(changes).toEqual([]);
});

test('SIGTERM lets what runs come to its end: exit 0', async () => {
  let finish;
  const { server, bridge, upstream } = await startBridge({
    upstream: {
      answer(req, res) {
        finish = () => res.setHeader('content-type', 'application/json').end('{"late":true}');
      },
    },
  });
  const answer = server.request(chat());
  await upstream.request(({ method }) => method === 'POST');
  const draining = updated(server, (worker) => worker.status === 'draining');
  bridge.child.kill('SIGTERM');
  await draining;
  finish();
  expect(await answer).toEqual({ late: true });
  expect(await bridge.exit).toMatchObject({ code: 0, signal: null });
});

test('a second SIGINT closes at once: exit 0', async () => {
  const { server, bridge, upstream } = await startBridge({ upstream: { answer() {} } });
  const failure = failureOf(server.request(chat()));
  const { closed } = await upstream.request(({ method }) => method === 'POST');
  const draining = updated(server, (worker) => worker.status === 'draining');
  bridge.child.kill('SIGINT');
  await draining;
  bridge.child.kill('SIGINT');
  await closed;
  expect(await bridge.exit).toMatchObject({ code: 0, signal: null });
  expect((await failure).code).toBe('WORKER_LOST');
});

test('a token that is refused is exit 1, and printed nowhere', async () => {
  const upstream = await startUpstream();
  await expect(startBridge({ upstream, env: { WORKER_SERVER_TOKEN: 'wrong-sesame' } })).rejects.toThrow(
    /^worker-server bridge: the server refused the token \(4001 Authentication failed\)\n$/,
  );
});

test('a server that lets it go is exit 0', async () => {
  const { server, bridge, worker } = await startBridge();
  server.disconnectWorker(worker.id);
  expect(await bridge.exit).toMatchObject({ code: 0, stderr: '' });
});

test('comes back to a server that was away, and no secret is in what it prints', async () => {
  const { server, bridge, port } = await startBridge({
    args: ['--upstream-key', 'key-sesame'],
    upstream: { models: ['m\u001b[31m'] },
  });
  await server.stop();
  const { WorkerServer } = require('../support/package.js');
  const { onCleanup } = require('../support/cleanup.js');
  const second = new WorkerServer({ port, authToken: 'token-sesame' });
  onCleanup(() => second.stop());
  const registered = nextCall((subscribe) => second.onWorkerConnected(subscribe));
  await second.start();
  await registered;
  await bridge.stdout(/^Connected as [^]*^Connected as /m);
  bridge.child.kill('SIGTERM');
  const { code, stdout, stderr } = await bridge.exit;
  expect(code).toBe(0);
  expect(stdout.match(/^Connected as /gm)).toHaveLength(2);
  expect(stdout).toMatch(/^Not connected, trying again/m);
  expect(stdout + stderr).not.toMatch(/sesame/);
  expect(stdout).toContain('Models: m\ufffd[31m.');
});

testWith('openssl', ['version'])(
  'an upstream with https is asked over TLS, whole and streamed, with its key',
  async () => {
    const tls = selfSigned();
    const { server, upstream, worker } = await startBridge({
      upstream: { tls },
      args: ['--upstream-key', 'key-sesame'],
      env: { NODE_EXTRA_CA_CERTS: tls.certFile },
    });
    expect(modelsOf(worker)).toEqual(['m']);
    expect(await server.request(chat())).toEqual({ echo: chat().body });
    expect(await collect(server.stream(chat({ stream: true })))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    const keys = new Set(upstream.requests.map(({ headers }) => headers.authorization));
    expect([...keys]).toEqual(['Bearer key-sesame']);
  },
);

testWith('openssl', ['version'])(
  'an upstream whose certificate nobody vouches for gets nothing, and the bridge drains',
  async () => {
    const { upstream, bridge, server, worker } = await startBridge({
      upstream: { tls: selfSigned() },
      args: ['--upstream-key', 'key-sesame'],
    });
    if (worker.status !== 'draining') await updated(server, ({ status }) => status === 'draining');
    bridge.child.kill('SIGTERM');
    expect((await bridge.exit).stdout).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(upstream.requests).toEqual([]);
  },
);
