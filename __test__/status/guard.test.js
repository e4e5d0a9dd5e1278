'use strict';

// Who gets in: the application's own judgement, or, without one, this machine.

const { subscribe, unsubscribe } = require('node:diagnostics_channel');
const net = require('node:net');
const os = require('node:os');
const { onCleanup } = require('../support/cleanup.js');
const { readAll } = require('../support/http.js');
const { act, get, startStatus } = require('./support/status.js');

const PATHS = ['/status', '/status.json', '/status/events', '/status/explain', '/status/actions'];

describe('without authenticate', () => {
  test.each([
    ['127.0.0.1'],
    ['127.0.0.1:8080'],
    ['127.9.9.9:1'],
    ['localhost'],
    ['LocalHost:19100'],
    ['[::1]'],
    ['[::1]:19100'],
  ])('a loopback peer that names the host %s gets in', async (host) => {
    const { port } = await startStatus();
    expect((await get(port, '/status', { host })).status).toBe(200);
    expect((await get(port, '/status.json', { host })).status).toBe(200);
  });

  test.each([
    ['elsewhere.example'],
    ['localhost.elsewhere.example'],
    ['127.0.0.1.elsewhere.example'],
    ['elsewhere.example:127'],
    ['128.0.0.1'],
    ['0.0.0.0'],
    ['[::2]'],
    ['::1]'],
    ['127.1'],
    ['user@localhost'],
    ['localhost:80:80'],
  ])('one that names the host %j does not: 403', async (host) => {
    const { port } = await startStatus();
    for (const path of PATHS) expect((await get(port, path, { host })).status).toBe(403);
  });

  test.each([
    ['none', 'GET /status.json HTTP/1.0\r\n\r\n'],
    ['an empty one', 'GET /status.json HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
  ])('one that names no host, %s, does not: 403', async (_name, head) => {
    const { port } = await startStatus();
    const socket = net.connect(port, '127.0.0.1');
    socket.write(head);
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 403 /);
  });

  test.each(['10.0.0.1', '127.0.0.1', ''])('one that sends X-Forwarded-For %j does not: 403', async (address) => {
    const { port } = await startStatus();
    const headers = { 'x-forwarded-for': address };
    for (const path of PATHS) expect((await get(port, path, headers)).status).toBe(403);
  });

  test('a peer of another address does not, whatever host it names: 403', async () => {
    const addresses = Object.values(os.networkInterfaces()).flat();
    const outward = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
    if (outward === undefined) {
      console.warn('skipped: this machine has no address but its own');
      return;
    }
    const { port } = await startStatus({}, { host: '0.0.0.0' });
    const from = { host: outward.address, localAddress: outward.address };
    for (const host of ['localhost', '127.0.0.1', outward.address]) {
      expect((await get(port, '/status.json', { host }, from)).status).toBe(403);
    }
  });

  test('actions are off: 404', async () => {
    const { port } = await startStatus();
    expect((await act(port, { action: 'drain', workerId: 'w' })).status).toBe(404);
  });

  test('a refusal holds nothing of the server', async () => {
    const { port } = await startStatus();
    const { text, headers } = await get(port, '/status.json', { host: 'elsewhere.example' });
    expect(text).toBe('{"error":"Only for this machine"}\n');
    expect(headers['www-authenticate']).toBeUndefined();
  });
});

describe('with authenticate', () => {
  const BASIC = /^Basic realm="[^"]+"/;

  test.each([
    ['true', () => true],
    ['a promise of true', async () => true],
  ])('%s lets in, also through a proxy and under any host', async (_name, authenticate) => {
    const { port } = await startStatus({ authenticate });
    const headers = { host: 'status.example', 'x-forwarded-for': '10.0.0.1' };
    expect((await get(port, '/status', headers)).status).toBe(200);
    expect((await get(port, '/status.json', headers)).status).toBe(200);
  });

  test.each([
    ['false', () => false],
    ['a promise of false', async () => false],
    ['undefined', () => undefined],
    ['a string', () => 'yes'],
    ['1', () => 1],
    ['an object', () => ({ ok: true })],
  ])('%s is a no: 401 that asks for Basic, on every path', async (_name, authenticate) => {
    const { port, log } = await startStatus({ authenticate, actions: true });
    for (const path of PATHS) {
      const { status, headers } = await get(port, path);
      expect([path, status, headers['www-authenticate']]).toEqual([path, 401, expect.stringMatching(BASIC)]);
    }
    expect((await act(port, { action: 'drain', workerId: 'w' })).status).toBe(401);
    expect(log.all('Error in authenticate')).toEqual([]);
  });

  test.each([
    [
      'a throw',
      () => {
        throw new Error('no such table');
      },
    ],
    ['a rejection', () => Promise.reject(new Error('no such table'))],
  ])('%s is a no, and logged', async (_name, authenticate) => {
    const { port, log } = await startStatus({ authenticate });
    const { status, headers, text } = await get(port, '/status.json');
    expect([status, headers['www-authenticate']]).toEqual([401, expect.stringMatching(BASIC)]);
    expect(text).not.toContain('table');
    expect(log.all('Error in authenticate')).toEqual([
      { level: 'error', message: 'Error in authenticate', context: { error: 'no such table' } },
    ]);
  });

  test('a throw is published, itself', async () => {
    const thrown = new Error('no such table');
    const { port, server } = await startStatus({
      authenticate() {
        throw thrown;
      },
    });
    const published = [];
    const onError = (message) => published.push(message);
    subscribe('worker-server:error', onError);
    onCleanup(() => unsubscribe('worker-server:error', onError));
    await get(port, '/status.json');
    expect(published).toHaveLength(1);
    expect(published[0]).toMatchObject({ where: 'authenticate' });
    expect(published[0].error).toBe(thrown);
    expect(published[0].server).toBe(server);
  });

  test('what was sent to be let in is in no line', async () => {
    const authenticate = (req) => {
      const pair = Buffer.from(req.headers.authorization.split(' ')[1], 'base64').toString();
      throw new Error(`${req.headers.authorization} is ${pair}, not ${pair.split(':')[1]}`);
    };
    const { port, log } = await startStatus({ authenticate });
    const authorization = `Basic ${Buffer.from('ann:open-sesame').toString('base64')}`;
    expect((await get(port, '/status', { authorization })).status).toBe(401);
    const lines = JSON.stringify(log.lines);
    expect(lines).toContain('*** is ***');
    expect(lines).not.toContain('sesame');
    expect(lines).not.toContain(authorization.slice(6));
  });

  test('it sees the request, and a throw that cannot be described is logged too', async () => {
    const seen = [];
    const { port, log } = await startStatus({
      authenticate(req) {
        seen.push([req.method, req.url, req.headers.authorization]);
        throw Object.create(null);
      },
    });
    expect((await get(port, '/status.json?x=1', { authorization: 'Bearer k' })).status).toBe(401);
    expect(seen).toEqual([['GET', '/status.json?x=1', 'Bearer k']]);
    expect(log.all('Error in authenticate')).toHaveLength(1);
  });
});
