'use strict';

// Addresses that fail too often, and whose address it is behind a proxy.

const http = require('node:http');
const { statusPage } = require('../../lib/status/index.js');
const { createServer, startServer } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');

const LOCKED = 'Too many failed authentications';
const authToken = 'right';
const PROXY = { trustProxy: ['127.0.0.0/8', '::1'] };

/** What becomes of a worker: the HTTP status that it gets, or the close code, or 0 if it is let in. */
async function attempt(server, { from, token, bearer, fields = {} } = {}) {
  const headers = {};
  if (from !== undefined) headers['X-Forwarded-For'] = from;
  if (bearer !== undefined) headers.Authorization = `Bearer ${bearer}`;
  let refusal;
  const client = await connect(server, { headers }).catch((error) => {
    refusal = error;
  });
  if (refusal !== undefined) return Number(/response: (\d+)/.exec(refusal.message)[1]);
  const { success } = await client.register('w', { ...fields, ...(token === undefined ? {} : { authToken: token }) });
  if (success) client.ws.terminate();
  return success ? 0 : (await client.closed).code;
}

/** The answer to an upgrade. */
function upgrade({ port }, headers = {}) {
  return new Promise((resolve, reject) => {
    const asks = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13' };
    const req = http.get({ port, headers: { ...asks, 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers } });
    req.once('error', reject);
    req.once('response', (res) => {
      res.resume();
      resolve(res);
    });
    req.once('upgrade', (res, socket) => {
      socket.destroy();
      resolve(res);
    });
  });
}

test('after so many wrong tokens an address gets 429, and the log says so once', async () => {
  const { server, log } = await startServer({ authToken, limits: { maxAuthFailures: 3 } });
  for (let i = 0; i < 3; i += 1) expect(await attempt(server, { token: 'wrong' })).toBe(4001);
  for (let i = 0; i < 3; i += 1) expect(await attempt(server, { token: authToken })).toBe(429);
  const { statusCode, headers } = await upgrade(server);
  expect(statusCode).toBe(429);
  expect(Number(headers['retry-after'])).toBeGreaterThan(50);
  expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
  expect(log.contexts(LOCKED)).toEqual([{ remoteAddress: expect.stringMatching(/^(127\.0\.0\.1|::1)$/) }]);
  const { level } = log.lines.find(({ message }) => message === LOCKED);
  expect(level).toBe('warn');
});

test('one with a right Bearer token passes all the same', async () => {
  const { server } = await startServer({ authToken, limits: { maxAuthFailures: 1 } });
  expect(await attempt(server, { token: 'wrong' })).toBe(4001);
  expect(await attempt(server, { token: authToken, bearer: 'wrong' })).toBe(429);
  expect(await attempt(server, { bearer: authToken })).toBe(0);
  expect(await attempt(server, { token: authToken })).toBe(429);
});

test('without the limit, or with 0, nobody is locked', async () => {
  for (const limits of [{}, { maxAuthFailures: 0 }, { maxAuthFailures: undefined }]) {
    const { server } = await startServer({ authToken, limits });
    for (let i = 0; i < 15; i += 1) expect(await attempt(server, { token: 'wrong' })).toBe(4001);
    expect(await attempt(server, { token: authToken })).toBe(0);
    await server.stop();
  }
});

test('registrations that are malformed, and all that is no token, do not count', async () => {
  const { server } = await startServer({ authToken, limits: { maxAuthFailures: 1 } });
  expect(await attempt(server, { token: authToken, fields: { capabilities: null } })).toBe(4002);
  expect((await upgrade(server, { 'Sec-WebSocket-Version': '1' })).statusCode).toBe(400);
  expect((await upgrade(server, { Authorization: 'Bearer wrong' })).statusCode).toBe(101);
  expect(await attempt(server, { token: authToken })).toBe(0);
});

test('HTTP requests, endpoints and workers that are connected go on', async () => {
  const { server } = await startServer({ authToken, limits: { maxAuthFailures: 1 } });
  server.addWebSocketEndpoint('/own', (ws) => ws.send('{"type":"hello"}'));
  const worker = await connectWorker(server, 'there', { authToken });
  expect(await attempt(server, { token: 'wrong' })).toBe(4001);
  expect((await worker.sync()).id).toBe('there');
  const dashboard = await connect(server, { path: '/own' });
  await dashboard.next('hello');
  const status = await new Promise((resolve) => {
    http.get({ port: server.port }, (res) => {
      res.resume();
      resolve(res.statusCode);
    });
  });
  expect(status).toBe(404);
});

describe('behind a proxy that is trusted', () => {
  const options = { authToken, ...PROXY, limits: { maxAuthFailures: 1 } };

  test('each client is locked by itself, in IPv6 by the first 64 bits', async () => {
    const { server, log } = await startServer(options);
    expect(await attempt(server, { from: '203.0.113.9', token: 'wrong' })).toBe(4001);
    expect(await attempt(server, { from: '203.0.113.9', token: authToken })).toBe(429);
    expect(await attempt(server, { from: '203.0.113.8', token: authToken })).toBe(0);
    expect(await attempt(server, { from: '2001:db8:1:2::1', token: 'wrong' })).toBe(4001);
    expect(await attempt(server, { from: '[2001:db8:1:2:ffff::7]:9', token: authToken })).toBe(429);
    expect(await attempt(server, { from: '2001:db8:1:3::1', token: authToken })).toBe(0);
    expect(log.contexts(LOCKED)).toEqual([{ remoteAddress: '203.0.113.9' }, { remoteAddress: '2001:db8:1:2::1' }]);
  });

  test('what a client puts in front of its address changes nothing', async () => {
    const { server } = await startServer(options);
    expect(await attempt(server, { from: '198.51.100.1, 203.0.113.9', token: 'wrong' })).toBe(4001);
    expect(await attempt(server, { from: '198.51.100.2, 203.0.113.9', token: authToken })).toBe(429);
  });

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:4711', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['1.1.1.1, 203.0.113.9, 127.0.0.5', '203.0.113.9'],
    [['1.1.1.1', '203.0.113.9'], '203.0.113.9'],
    ['203.0.113.9, unknown', 'own'],
    ['unknown', 'own'],
    ['127.0.0.7', 'own'],
    ['', 'own'],
  ])('X-Forwarded-For: %s is the address %s', async (from, expected) => {
    const { server } = await startServer(PROXY);
    await connectWorker(server, 'w', {}, { headers: { 'X-Forwarded-For': from } });
    const { remoteAddress } = server.getConnectionInfo('w');
    if (expected === 'own') expect(['127.0.0.1', '::1']).toContain(remoteAddress);
    else expect(remoteAddress).toBe(expected);
  });

  test('the status page shows it', async () => {
    const { server } = await startServer(PROXY);
    server.addHttpHandler(statusPage(server));
    await connectWorker(server, 'w', {}, { headers: { 'X-Forwarded-For': '203.0.113.9' } });
    const response = await fetch(`http://127.0.0.1:${server.port}/status.json`);
    expect((await response.json()).workers).toMatchObject([{ id: 'w', address: '203.0.113.9' }]);
  });

  test('req is left alone', async () => {
    const { server } = await startServer(PROXY);
    server.addHttpHandler((req, res) => {
      res.end(JSON.stringify([req.socket.remoteAddress, req.headers['x-forwarded-for']]));
      return true;
    });
    const response = await fetch(`http://127.0.0.1:${server.port}/`, { headers: { 'X-Forwarded-For': '203.0.113.9' } });
    const [address, forwarded] = await response.json();
    expect(address).toMatch(/127\.0\.0\.1$/);
    expect(forwarded).toBe('203.0.113.9');
  });
});

test.each([
  ['no proxy is trusted', {}],
  ['the list of proxies is empty', { trustProxy: [] }],
  ['another one is', { trustProxy: ['10.0.0.0/8', '2001:db8::/32'] }],
])('X-Forwarded-For counts for nothing where %s', async (_, options) => {
  const { server } = await startServer(options);
  await connectWorker(server, 'w', {}, { headers: { 'X-Forwarded-For': '203.0.113.9' } });
  expect(['127.0.0.1', '::1']).toContain(server.getConnectionInfo('w').remoteAddress);
});

test.each([
  ['trustProxy', null, 'options.trustProxy must be a list of strings, got null'],
  ['trustProxy', true, 'options.trustProxy must be a list of strings, got true'],
  ['trustProxy', '10.0.0.0/8', "options.trustProxy must be a list of strings, got '10.0.0.0/8'"],
  ['trustProxy', ['::1', 'loopback'], "options.trustProxy[1] must be an IP address or a CIDR range, got 'loopback'"],
  ['trustProxy', ['10.0.0.0/33'], "options.trustProxy[0] must be an IP address or a CIDR range, got '10.0.0.0/33'"],
  ['trustProxy', ['10.0.0'], "options.trustProxy[0] must be an IP address or a CIDR range, got '10.0.0'"],
  ['trustProxy', ['::1', 5], 'options.trustProxy[1] must be a string that is not empty, got 5'],
  ['limits', { maxAuthFailures: -1 }, 'options.limits.maxAuthFailures must be a whole number from 0, got -1'],
  ['limits', { maxAuthFailures: 1.5 }, 'options.limits.maxAuthFailures must be a whole number from 0, got 1.5'],
  ['limits', { maxAuthFailures: '3' }, "options.limits.maxAuthFailures must be a whole number from 0, got '3'"],
  [
    'limits',
    { maxAuthFailures: Infinity },
    'options.limits.maxAuthFailures must be a whole number from 0, got Infinity',
  ],
  ['limits', { maxAuthFailures: null }, 'options.limits.maxAuthFailures must be a whole number from 0, got null'],
  [
    'limits',
    { authTimeoutMs: null },
    'options.limits.authTimeoutMs must be a number of milliseconds that is not negative, got null',
  ],
  [
    'limits',
    { authTimeoutMs: -1 },
    'options.limits.authTimeoutMs must be a number of milliseconds that is not negative, got -1',
  ],
  [
    'limits',
    { authTimeoutMs: NaN },
    'options.limits.authTimeoutMs must be a number of milliseconds that is not negative, got NaN',
  ],
])('%s can not be %j', (name, value, message) => {
  expect(() => createServer({ [name]: value })).toThrow(new TypeError(message));
});
