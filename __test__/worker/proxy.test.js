'use strict';

const https = require('node:https');
const { once } = require('node:events');
const { WebSocketServer } = require('ws');
const { onCleanup } = require('../support/cleanup.js');
const { selfSigned } = require('../support/certificates.js');
const { testWith } = require('../support/installed.js');
const { startDifficultServer } = require('./support/difficult-server.js');
const { startProxyServer } = require('./support/proxy-server.js');
const { EACH_WAY, connectedWorker, runWorker, stateOf } = require('./support/workers.js');

const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
const before = Object.fromEntries(PROXY_VARIABLES.map((name) => [name, process.env[name]]));

beforeEach(() => {
  for (const name of PROXY_VARIABLES) delete process.env[name];
});
afterAll(() => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

/** A server over TLS that says yes to every worker. */
async function startTlsServer(material) {
  const server = https.createServer(material);
  const wss = new WebSocketServer({ server });
  wss.on('connection', (ws) =>
    ws.on('message', () =>
      ws.send('{"type":"worker_registration_ack","success":true,"sessionId":"s","heartbeatIntervalMs":15000}'),
    ),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    for (const ws of wss.clients) ws.terminate();
    return new Promise((resolve) => server.close(resolve));
  });
  return server.address().port;
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const elsewhere = (server) => ({ url: `ws://server.test:${server.port}` });

  test('a worker goes through the proxy of its options, with credentials', async () => {
    const server = await startDifficultServer();
    const proxy = await startProxyServer({ credentials: 'us@er:pass:word' });
    const { worker, connection } = await connectedWorker(
      elsewhere(server),
      {
        isolate,
        proxy: `http://us%40er:pass%3Aword@${proxy.host}`,
        authToken: 'sesame',
        handler: () => 'x'.repeat(1e6),
      },
      server,
    );
    expect(proxy.requests).toEqual([
      {
        target: `server.test:${server.port}`,
        authorization: `Basic ${Buffer.from('us@er:pass:word').toString('base64')}`,
      },
    ]);
    expect(connection.headers).toMatchObject({ host: `server.test:${server.port}`, authorization: 'Bearer sesame' });
    expect(connection.headers['proxy-authorization']).toBeUndefined();
    connection.request('r1');
    await connection.next('request_result');
    await worker.close();
  });

  test('or through that of the environment, unless an option says no', async () => {
    const server = await startDifficultServer();
    const proxy = await startProxyServer();
    process.env.HTTP_PROXY = proxy.url;
    await connectedWorker(elsewhere(server), { isolate }, server);
    expect(proxy.requests).toHaveLength(1);
    // This name leads nowhere without the proxy.
    const alone = runWorker(elsewhere(server), { isolate, proxy: false, reconnect: { maxAttempts: 1 } });
    await expect(alone.ended).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
    expect(proxy.requests).toHaveLength(1);
  });

  test('loopback never goes through a proxy', async () => {
    const server = await startDifficultServer();
    const proxy = await startProxyServer();
    process.env.ALL_PROXY = proxy.url;
    await connectedWorker(server, { isolate });
    await connectedWorker(server, { isolate, workerId: 'w2', proxy: proxy.url });
    expect(proxy.requests).toEqual([]);
  });

  test.each([
    ['asks for credentials', { credentials: 'a:b' }, 'The proxy answered CONNECT with 407'],
    [
      'can’t reach the server',
      { answer: 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n' },
      'The proxy answered CONNECT with 502',
    ],
    ['speaks something else', { answer: 'SSH-2.0\r\n' }, /^Could not reach the proxy/],
  ])('a proxy that %s is a failure like any', async (_what, behaviour, message) => {
    const server = await startDifficultServer();
    const proxy = await startProxyServer(behaviour);
    const worker = runWorker(elsewhere(server), {
      isolate,
      proxy: `http://user:hunter22@${proxy.host}`,
      reconnect: { initialDelayMs: 1, maxAttempts: 2 },
    });
    const error = await worker.ended.catch((thrown) => thrown);
    expect(error.message).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
    expect(proxy.requests).toHaveLength(2);
    expect(JSON.stringify([error.message, worker.log.lines])).not.toContain('hunter22');
  });

  testWith('openssl', ['version'])('wss: goes through HTTPS_PROXY, and what the certificate says counts', async () => {
    const material = selfSigned();
    const port = await startTlsServer(material);
    const proxy = await startProxyServer();
    process.env.HTTPS_PROXY = proxy.url;
    const address = { url: `wss://server.test:${port}` };
    await stateOf(runWorker(address, { isolate, tls: { ca: material.cert } }), 'connected');
    expect(proxy.requests).toHaveLength(1);
    const distrustful = runWorker(address, { isolate, reconnect: { maxAttempts: 1 } });
    await expect(distrustful.ended).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const elsewhereNamed = runWorker(
      { url: `wss://other.test:${port}` },
      { isolate, tls: { ca: material.cert }, reconnect: { maxAttempts: 1 } },
    );
    await expect(elsewhereNamed.ended).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    // Without a proxy, and by address.
    await stateOf(
      runWorker({ url: `wss://127.0.0.1:${port}` }, { isolate, tls: { ca: material.cert.toString() } }),
      'connected',
    );
  });
});
