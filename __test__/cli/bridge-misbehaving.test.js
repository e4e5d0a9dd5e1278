'use strict';

// The bridge with an upstream that does not do as it should.

const http = require('http');
const { once } = require('events');
const { onCleanup } = require('../support/cleanup.js');
const { until } = require('../support/server.js');
const { chat, collect, failureOf, startBridge, updated } = require('./support/bridge.js');
const { answerWell, respond, sse, startUpstream } = require('./support/upstream.js');

const ALLOWED = [
  'GET /props',
  'GET /v1/models',
  'POST /v1/chat/completions',
  'POST /v1/completions',
  'POST /v1/embeddings',
  'POST /v1/responses',
];

const bridges = [];

/** Whatever happened in a test, the upstream was called as it may be. */
async function start(options) {
  const made = await startBridge(options);
  bridges.push(made.upstream);
  return made;
}

afterEach(() => {
  for (const upstream of bridges.splice(0)) expect(ALLOWED).toEqual(expect.arrayContaining(upstream.called()));
});

const isPost = ({ method }) => method === 'POST';
const statusOf = ({ data }) => ({ status: data.data.status, code: data.code, retryable: data.retryable });

describe('errors', () => {
  const error = { error: { message: 'too long', type: 'invalid_request_error', param: 'messages', code: 'context' } };

  test.each([
    [400, error, 'too long'],
    [401, { error: 'no key' }, 'no key'],
    [404, { object: 'error', message: 'no such model' }, 'no such model'],
    [422, [1], 'The upstream answered with status 422'],
    [429, {}, 'The upstream answered with status 429'],
    [500, 'Internal Server Error', 'The upstream answered with status 500'],
    [503, '', 'The upstream answered with status 503'],
    [599, 'null', 'The upstream answered with status 599'],
  ])('%i %j keeps its status and its body', async (status, body, message) => {
    const { server } = await start({ upstream: { answer: (req, res) => respond(res, status, body) } });
    const failure = await failureOf(server.request(chat()));
    expect(failure).toMatchObject({ code: 'WORKER_ERROR', message });
    expect(failure.data.data).toEqual({ status, body: body === 'null' ? null : body });
    expect(failure.data.retryable).toBe(false);
    const stream = server.stream(chat({ stream: true }));
    await expect(collect(stream)).rejects.toMatchObject({ data: { data: { status } } });
  });

  test.each([301, 302, 303, 307, 308])('a redirect (%i) is not followed', async (status) => {
    const elsewhere = await startUpstream();
    const location = `${elsewhere.url}/chat/completions`;
    const { server } = await start({ upstream: { answer: (req, res) => respond(res, status, {}, { location }) } });
    const failure = await failureOf(server.request(chat()));
    expect(statusOf(failure)).toEqual({ status: 502, code: 'upstream_bad_answer', retryable: false });
    expect(JSON.stringify(failure.data)).not.toContain(location);
    expect(elsewhere.requests).toEqual([]);
  });

  test('models that are elsewhere are not asked for there', async () => {
    const elsewhere = await startUpstream();
    const models = (req, res) => respond(res, 302, {}, { location: `${elsewhere.url}/models` });
    const { worker, bridge } = await start({ upstream: { models } });
    expect(worker.capabilities.models).toEqual([]);
    expect(elsewhere.requests).toEqual([]);
    bridge.child.kill('SIGTERM');
    expect((await bridge.exit).stderr).toBe('The upstream does not list its models: status 302\n');
  });

  test.each([
    ['text', 'text/plain', 'what is not JSON'],
    ['', 'application/json', 'what is not JSON'],
    ['{"half":', 'application/json', 'what is not JSON'],
    ['data: {}\n\n', 'text/event-stream', 'a stream that was not asked for'],
  ])('%j as %s is a bad answer', async (body, type, message) => {
    const { server } = await start({
      upstream: { answer: (req, res) => respond(res, 200, body, { 'content-type': type }) },
    });
    const failure = await failureOf(server.request(chat()));
    expect(failure.message).toBe(`The upstream answered with ${message}`);
    expect(statusOf(failure)).toEqual({ status: 502, code: 'upstream_bad_answer', retryable: false });
  });
});

describe('connections', () => {
  const refusedError = { status: 502, code: 'upstream_refused', retryable: true };
  const brokenError = { status: 502, code: 'upstream_broke_off', retryable: false };

  test('one that is refused may be tried again; the worker drains until the upstream is back', async () => {
    const { server, upstream, bridge } = await start();
    await upstream.goAway();
    const draining = updated(server, (worker) => worker.status === 'draining');
    expect(statusOf(await failureOf(server.request(chat())))).toEqual(refusedError);
    expect((await draining).capabilities.models).toHaveLength(1);
    const waiting = server.request(chat());
    const available = updated(server, (worker) => worker.status !== 'draining');
    await upstream.comeBack();
    await available;
    expect(await waiting).toMatchObject({ echo: { model: 'm' } });
    bridge.child.kill('SIGTERM');
    const { stdout } = await bridge.exit;
    expect(stdout).toMatch(
      /^The upstream refuses connections \(ECONNREFUSED\): draining until it is back\nThe upstream is back$/m,
    );
  });

  test('a further attempt goes to a worker whose upstream is there', async () => {
    const { server, port, upstream } = await start();
    await upstream.goAway();
    const draining = updated(server, (worker) => worker.status === 'draining');
    const answer = server.request(chat(), { maxAttempts: 2 });
    await draining;
    const { startCommand } = require('./support/command.js');
    const second = await startUpstream();
    const flags = ['--server', `ws://127.0.0.1:${port}`, '--upstream', second.url, '--token', 'token-sesame'];
    startCommand('bridge', ...flags);
    expect(await answer).toMatchObject({ echo: { model: 'm' } });
  });

  test('an upstream that is away is found without a request', async () => {
    const { server, upstream } = await start({ args: ['--refresh-ms', '20'] });
    const draining = updated(server, (worker) => worker.status === 'draining');
    await upstream.goAway();
    await draining;
    upstream.models = ['other'];
    const available = updated(server, (worker) => worker.status === 'available');
    await upstream.comeBack();
    expect((await available).capabilities.models[0].modelId).toBe('other');
  });

  test('an upstream may be away at the start', async () => {
    const upstream = await startUpstream({ props: { total_slots: 2 } });
    await upstream.goAway();
    const { server, worker } = await start({ upstream });
    expect(worker.capabilities.models).toEqual([]);
    const isDraining = () => server.getWorkerInfo()[0].status === 'draining';
    await until(isDraining);
    const available = updated(server, ({ status }) => status === 'available');
    await upstream.comeBack();
    expect((await available).capabilities).toMatchObject({ models: [{ modelId: 'm' }], maxConcurrentRequests: 2 });
  });

  test('while the upstream is away a new session drains too', async () => {
    const { server, upstream, worker, log } = await start({ args: ['--refresh-ms', '20'] });
    const draining = updated(server, ({ status }) => status === 'draining');
    await upstream.goAway();
    await draining;
    const again = updated(server, ({ status, sessionId }) => status === 'draining' && sessionId !== worker.sessionId);
    server.disconnectWorker(worker.id, { code: 3000 });
    await again;
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('one that breaks off before the answer may have run', async () => {
    const { server } = await start({ upstream: { answer: (req) => req.socket.destroy() } });
    expect(statusOf(await failureOf(server.request(chat(), { maxAttempts: 3 })))).toEqual(brokenError);
  });

  test('one that breaks off in the middle of the answer', async () => {
    const { server } = await start({
      upstream: {
        answer(req, res) {
          res.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
          res.write('{"half":', () => req.socket.destroy());
        },
      },
    });
    expect(statusOf(await failureOf(server.request(chat())))).toEqual(brokenError);
  });

  const beginnings = [
    ['with chunks', { 'transfer-encoding': 'chunked' }],
    ['that ends with its connection', { connection: 'close' }],
  ];
  test.each(beginnings)('a stream %s that breaks off in the middle keeps what had come', async (_name, headers) => {
    const { server } = await start({
      upstream: {
        answer(req, res) {
          res.useChunkedEncodingByDefault = headers.connection === undefined;
          res.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
          res.write(sse({ n: 1 }), () => req.socket.destroySoon());
        },
      },
    });
    const stream = server.stream(chat({ stream: true }));
    expect(await stream.next()).toEqual({ done: false, value: { n: 1 } });
    expect(statusOf(await failureOf(stream.next()))).toEqual(brokenError);
  });

  test('a stream with an event that is not JSON', async () => {
    const { server } = await start({
      upstream: {
        answer: (req, res) => {
          res.writeHead(200, { 'content-type': 'text/event-stream' });
          res.end(`${sse({ n: 1 })}data: {half\n\n`);
        },
      },
    });
    const stream = server.stream(chat({ stream: true }));
    await stream.next();
    expect(statusOf(await failureOf(stream.next())).code).toBe('upstream_bad_answer');
  });
});

describe('what takes long, or has no end', () => {
  test('an abort of the caller ends the upstream’s request before it has answered', async () => {
    const { server, upstream } = await start({ upstream: { answer() {} } });
    const controller = new AbortController();
    const failure = failureOf(server.request(chat(), { signal: controller.signal }));
    const { closed } = await upstream.request(isPost);
    controller.abort(new Error('enough'));
    await closed;
    expect(await failure).toMatchObject({ message: 'enough' });
    await until(() => server.getWorkerInfo()[0].activeRequests === 0);
  });

  test('a reader that leaves ends a stream without end', async () => {
    const answer = (req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => res.write(sse({ more: true })), 1);
      res.on('close', () => clearInterval(timer));
    };
    const { server, upstream } = await start({ upstream: { answer } });
    let count = 0;
    for await (const _chunk of server.stream(chat({ stream: true }))) {
      count += 1;
      if (count === 20) break;
    }
    await (
      await upstream.request(isPost)
    ).closed;
    await until(() => server.getWorkerInfo()[0].activeRequests === 0);
    upstream.answer = answerWell;
    expect(await server.request(chat())).toBeDefined();
  });

  test('a timeout of the request ends the upstream’s request', async () => {
    const { server, upstream } = await start({ upstream: { answer() {} } });
    const failure = failureOf(server.request(chat(), { timeoutMs: 200 }));
    await (
      await upstream.request(isPost)
    ).closed;
    expect(await failure).toMatchObject({ code: 'TIMEOUT' });
  });

  test('an answer without end is cut at a size', async () => {
    const { server, upstream } = await start({
      upstream: {
        answer(req, res) {
          res.writeHead(200, { 'content-type': 'application/json' });
          const piece = Buffer.alloc(1024 * 1024, ' ');
          const more = () => {
            while (!res.destroyed && res.write(piece));
          };
          res.on('drain', more);
          more();
        },
      },
    });
    const failure = await failureOf(server.request(chat()));
    expect(failure.message).toBe('The upstream answered with more than can be passed on');
    await (
      await upstream.request(isPost)
    ).closed;
  });

  test('models that never come hold up neither the registration of others nor the end', async () => {
    const upstream = await startUpstream({ models() {} });
    const { startCommand } = require('./support/command.js');
    const flags = ['--server', 'ws://127.0.0.1:9', '--upstream', upstream.url];
    const bridge = startCommand('bridge', ...flags);
    const { closed } = await upstream.request(({ url }) => url === '/v1/models');
    bridge.child.kill('SIGTERM');
    await closed;
    expect(await bridge.exit).toMatchObject({ code: 0, signal: null });
  });

  test('an upstream that answers 503 while it loads is asked again', async () => {
    let times = 0;
    const models = (req, res) => {
      times += 1;
      if (times < 3) respond(res, 503, { error: { message: 'Loading model' } });
      else respond(res, 200, { data: [{ id: 'm', meta: { n_ctx_train: 4096 } }, { id: 'm' }, { id: 5 }, null] });
    };
    const { server } = await start({ upstream: { models } });
    const { capabilities } = await updated(server, (worker) => worker.capabilities.models.length > 0);
    expect(capabilities.models).toEqual([expect.objectContaining({ modelId: 'm', maxContextTokens: 4096 })]);
  });
});

test('a proxy of the environment plays no part', async () => {
  const proxy = http.createServer((req, res) => res.end('proxy'));
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onCleanup(() => proxy.close());
  let asked = 0;
  proxy.on('request', () => (asked += 1));
  const url = `http://127.0.0.1:${proxy.address().port}`;
  const { server } = await start({ env: { HTTP_PROXY: url, http_proxy: url, NODE_USE_ENV_PROXY: '1' } });
  expect(await server.request(chat())).toMatchObject({ echo: { model: 'm' } });
  expect(asked).toBe(0);
});
