'use strict';

// Requests that ask for an upgrade: to a WebSocket in all shapes, to something else, and behind other requests.

const { once } = require('events');
const { startServer, until } = require('../support/server');
const { answering, readAll } = require('../support/http');
const { reset } = require('../support/transport');
const { RawWebSocket, rawConnect, upgradeHead, frame, json, registration, TEXT } = require('../support/raw');

const frameOf = (raw) => RawWebSocket.prototype.frame.call(raw);

/** A server with an endpoint that echoes. Its HTTP handler is `handler`. */
function startWith(handler, options = {}) {
  return startServer(options, (server) => {
    server.addHttpHandler(handler);
    server.addWebSocketEndpoint('/e', (ws) => ws.on('message', (data) => ws.send(`echo ${data}`)));
  });
}

/** Exchanges messages over an upgrade that was answered with 101. What came before the answer is in `raw.before`. */
async function speak(raw, path) {
  const text = await raw.text(/HTTP\/1\.1 101 [^]*?\r\n\r\n/);
  const [head] = /HTTP\/1\.1 101 [^]*?\r\n\r\n/.exec(text);
  raw.before = text.slice(0, text.indexOf(head));
  raw.received = raw.received.subarray(raw.before.length + head.length);
  raw.write(path === '/e' ? frame(TEXT, 'hello') : json(registration('w')));
  const answer = (await frameOf(raw)).text;
  expect(answer).toMatch(path === '/e' ? /^echo hello$/ : /"success":true/);
}

const BOTH = [
  ['an endpoint', '/e'],
  ['a worker', '/workers'],
];

describe.each(BOTH)('an upgrade of %s', (_, path) => {
  test.each([
    ['in absolute form', upgradeHead(`http://host:80${path}`)],
    ['in absolute form, of a WebSocket, with a query', upgradeHead(`WS://user@host${path}?x=http://y/z`)],
    ['among other protocols', upgradeHead(path, { Upgrade: 'h2c, WebSocket' })],
    [
      'with a field for each protocol',
      upgradeHead(path, { Upgrade: 'h2c\r\nUpgrade: websocket', Connection: 'keep-alive\r\nConnection: upgrade' }),
    ],
    [
      'with 128 header fields',
      upgradeHead(path, Object.fromEntries(Array.from({ length: 123 }, (__, i) => [`X-${i}`, i]))),
    ],
    [
      'with 129 header fields',
      upgradeHead(path, Object.fromEntries(Array.from({ length: 124 }, (__, i) => [`X-${i}`, i]))),
    ],
    [
      'with 1,500 header fields',
      upgradeHead(path, Object.fromEntries(Array.from({ length: 1500 }, (__, i) => [`X${i}`, '']))),
    ],
  ])('%s succeeds, on a new connection and on one that is kept alive', async (__, head) => {
    const { port } = await startWith(answering('plain'));
    const fresh = await rawConnect(port);
    fresh.write(head);
    await speak(fresh, path);
    const kept = await rawConnect(port);
    kept.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await kept.text(/plain$/);
    kept.received = Buffer.alloc(0);
    kept.write(head);
    await speak(kept, path);
  });

  test.each([
    ['without a key', { 'Sec-WebSocket-Key': undefined }, 400, 'Missing or invalid Sec-WebSocket-Key header'],
    ['with a short key', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, 400, 'Missing or invalid Sec-WebSocket-Key header'],
    [
      'without a version',
      { 'Sec-WebSocket-Version': undefined },
      400,
      'Missing or invalid Sec-WebSocket-Version header',
    ],
    ['of a version to come', { 'Sec-WebSocket-Version': '14' }, 400, 'Missing or invalid Sec-WebSocket-Version header'],
    [
      'with two versions',
      { 'Sec-WebSocket-Version': '13\r\nSec-WebSocket-Version: 13' },
      400,
      'Missing or invalid Sec-WebSocket-Version header',
    ],
    [
      'without key and version',
      { 'Sec-WebSocket-Key': undefined, 'Sec-WebSocket-Version': undefined },
      400,
      'Missing or invalid Sec-WebSocket-Key header',
    ],
    ['with an empty subprotocol', { 'Sec-WebSocket-Protocol': 'a,,b' }, 400, 'Invalid Sec-WebSocket-Protocol header'],
    ['with a subprotocol twice', { 'Sec-WebSocket-Protocol': 'a, b, a' }, 400, 'Invalid Sec-WebSocket-Protocol header'],
    ['with POST', 'POST', 405, 'Invalid HTTP method'],
  ])('%s is refused, and the connection closed', async (__, headers, status, body) => {
    const { port, log } = await startWith(answering('plain'));
    for (const before of ['', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n']) {
      const raw = await rawConnect(port);
      raw.write(before + (headers === 'POST' ? upgradeHead(path).replace('GET', 'POST') : upgradeHead(path, headers)));
      const text = await raw.end();
      expect(text).toMatch(new RegExp(`HTTP/1\\.1 ${status} [^]*\r\n\r\n${body}$`));
      expect(/\r\nSec-WebSocket-Version: 13, 8\r\n/.test(text)).toBe(body.includes('Version'));
    }
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('with a body is refused, or its body read as frames, and the server goes on', async () => {
    const { port } = await startWith(answering('plain'));
    for (const before of ['', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n']) {
      for (const method of ['GET', 'POST']) {
        const raw = await rawConnect(port);
        raw.write(before + upgradeHead(path, { 'Content-Length': '10' }).replace('GET', method));
        await new Promise((resolve) => setImmediate(resolve));
        raw.write('0123456789');
        await raw.text(method === 'POST' ? /HTTP\/1\.1 405 / : /HTTP\/1\.1 (400|101) /);
      }
    }
    const raw = await rawConnect(port);
    raw.write(upgradeHead(path));
    await speak(raw, path);
  });

  describe('behind requests that are not answered yet', () => {
    test('waits for their answers, and nothing is lost', async () => {
      const waiting = [];
      const { port } = await startWith(async (req, res) => {
        waiting.push(() => res.end(`<${req.url}>`));
        return true;
      });
      const raw = await rawConnect(port);
      raw.write(`GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n${upgradeHead(path)}`);
      await until(() => waiting.length === 2);
      waiting[1]();
      await new Promise((resolve) => setImmediate(resolve));
      expect(raw.received).toHaveLength(0);
      waiting[0]();
      await speak(raw, path);
      expect(raw.before.match(/<[^>]*>/g)).toEqual(['</1>', '</2>']);
    });

    test('waits until the peer has taken a large answer, and keeps what came with it and after it', async () => {
      const body = Buffer.alloc(8 * 1024 * 1024, 'x');
      let asked = false;
      const { port } = await startWith(async (req, res) => {
        if (req.url === '/small') return answering('small')(req, res);
        asked = true;
        for (let at = 0; at < body.length; at += 65536) {
          // As streams do it: the answer goes on only when the one before has been taken.
          if (!res.write(body.subarray(at, at + 65536))) await once(res, 'drain');
        }
        res.end();
        return true;
      });
      const raw = await rawConnect(port);
      raw.socket.pause();
      const first = path === '/e' ? frame(TEXT, 'early') : json({ type: 'heartbeat', workerId: 'unknown' });
      raw.write(
        Buffer.concat([
          Buffer.from(
            `GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET /small HTTP/1.1\r\nHost: h\r\n\r\n${upgradeHead(path)}`,
          ),
          first,
        ]),
      );
      await until(() => asked);
      raw.write(path === '/e' ? frame(TEXT, 'later') : json(registration('early')));
      raw.socket.resume();
      const end = () => raw.received.subarray(-4096).toString('latin1');
      const wanted = path === '/e' ? /echo later$/ : /"success":true[^}]*}$/;
      await raw.until(() => (wanted.test(end()) ? true : undefined));
      expect(end()).toMatch(/small[^]*HTTP\/1\.1 101 /);
      if (path === '/e') expect(end()).toMatch(/echo early/);
      expect(raw.received.indexOf('HTTP/1.1 101')).toBeGreaterThan(body.length);
    });

    test('is dropped when the answer ends the connection', async () => {
      const { server, port } = await startWith(async (req, res) => {
        setImmediate(() => res.writeHead(200, { connection: 'close', 'content-length': 8 }).end('the last'));
        return true;
      });
      const raw = await rawConnect(port);
      raw.write(`GET / HTTP/1.1\r\nHost: h\r\n\r\n${upgradeHead(path)}`);
      expect(await raw.end()).toMatch(/^HTTP\/1\.1 200 [^]*the last$/);
      expect(server.getWorkerCount()).toBe(0);
    });

    test('ends with its peer, as the requests do', async () => {
      const events = [];
      const { port, log } = await startWith(async (req, res) => {
        req.on('close', () => events.push(`request ${req.url}`));
        if (req.url === '/1') res.on('close', () => events.push('response /1'));
        return true;
      });
      const raw = await rawConnect(port);
      let asked = 0;
      raw.write(`GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n${upgradeHead(path)}`);
      await until(() => {
        asked += 1;
        return asked > 20;
      });
      reset(raw.socket);
      await until(() => events.length === 3);
      expect(events.sort()).toEqual(['request /1', 'request /2', 'response /1']);
      expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    });

    test('is dropped by a stop, which lets the answers leave', async () => {
      const waiting = [];
      const { server, port } = await startWith(async (req, res) => {
        waiting.push(() => res.end('answered'));
        return true;
      });
      const raw = await rawConnect(port);
      raw.write(`GET / HTTP/1.1\r\nHost: h\r\n\r\n${upgradeHead(path)}`);
      await until(() => waiting.length === 1);
      const stop = server.stop();
      waiting[0]();
      expect(await raw.end()).toMatch(/^HTTP\/1\.1 200 [^]*answered$/);
      await stop;
    });
  });
});

describe('a request to be upgraded to something else', () => {
  const H2C = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' };

  function requestHead(method, url, headers) {
    const lines = Object.entries({ Host: 'h', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }

  /** Tells what came. */
  async function tell(req, res) {
    const body = (await readAll(req)).toString();
    res.end(
      `<${JSON.stringify([req.method, req.url, req.headers.connection, req.headers.upgrade, req.rawHeaders.length, body])}>`,
    );
    return true;
  }

  const told = (text) => [...text.matchAll(/<(\[.*?\])>/g)].map(([, value]) => JSON.parse(value));

  test.each([
    ['as curl and Java do', H2C],
    ['alone', { Connection: 'Upgrade', Upgrade: 'h2c' }],
    [
      'in small letters and twice',
      { connection: 'keep-alive, upgrade\r\nConnection: upgrade', upgrade: 'TLS/1.3, h2c' },
    ],
    ['to what nobody knows', { Connection: 'upgrade', Upgrade: 'websockets' }],
  ])('%s is answered by the handlers, with and without a body, and so is what comes behind it', async (_, headers) => {
    const { port, log } = await startWith(tell);
    const raw = await rawConnect(port);
    raw.write(
      `${requestHead('GET', '/1', headers)}${requestHead('POST', '/2', { ...headers, 'Content-Length': 4 })}body`,
    );
    await raw.text(/"\/2".*>$/);
    // Behind the body of such a request Node itself loses what comes in the same packet.
    raw.write(
      `${requestHead('PUT', '/3', { ...headers, 'Transfer-Encoding': 'chunked' })}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`,
    );
    await raw.text(/"\/3".*>$/);
    raw.write(requestHead('GET', '/4', {}));
    await raw.text(/"\/4".*>$/);
    raw.write(requestHead('GET', '/5', { 'X-Last': '1', ...headers }).replace(/connection: /i, 'Connection: close, '));
    const connection = (headers.Connection ?? headers.connection).replace('\r\nConnection: ', ', ');
    const upgrade = headers.Upgrade ?? headers.upgrade;
    // Two fields of one name.
    const fields = 2 + 2 * Object.keys(headers).length + (connection === 'keep-alive, upgrade, upgrade' ? 2 : 0);
    expect(told(await raw.end())).toEqual([
      ['GET', '/1', connection, upgrade, fields, ''],
      ['POST', '/2', connection, upgrade, fields + 2, 'body'],
      ['PUT', '/3', connection, upgrade, fields + 2, 'hello world'],
      ['GET', '/4', null, null, 2, ''],
      ['GET', '/5', `close, ${connection}`, upgrade, fields + 2, ''],
    ]);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('with a body that comes later, and is waited for with 100-continue, is answered', async () => {
    const { port } = await startWith(tell);
    const raw = await rawConnect(port);
    raw.write(requestHead('POST', '/', { ...H2C, 'Content-Length': 8, Expect: '100-continue' }));
    await raw.text(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    raw.write('body');
    await new Promise((resolve) => setImmediate(resolve));
    raw.write('more');
    expect(told(await raw.text(/>$/))).toEqual([['POST', '/', H2C.Connection, 'h2c', 12, 'bodymore']]);
  });

  test('of HTTP/1.0, or with Connection: close, is answered and its connection closed', async () => {
    const { port } = await startWith(tell);
    for (const head of [
      requestHead('GET', '/', { ...H2C, Connection: 'close, Upgrade' }),
      requestHead('GET', '/', H2C).replace('HTTP/1.1', 'HTTP/1.0'),
    ]) {
      const raw = await rawConnect(port);
      raw.write(head);
      expect(told(await raw.end())).toEqual([['GET', '/', expect.stringContaining('Upgrade'), 'h2c', 8, '']]);
    }
  });

  test('whose client has ended its side is answered', async () => {
    const { port } = await startWith(tell);
    const raw = await rawConnect(port);
    raw.socket.end(requestHead('GET', '/half', H2C));
    expect(told(await raw.end())).toEqual([['GET', '/half', H2C.Connection, 'h2c', 8, '']]);
  });

  test('waits for the answers to those before it', async () => {
    const waiting = [];
    const { port } = await startWith(async (req, res) => {
      waiting.push(() => res.end(`<["${req.url}"]>`));
      return true;
    });
    const raw = await rawConnect(port);
    raw.write(requestHead('GET', '/1', {}) + requestHead('GET', '/2', H2C) + requestHead('GET', '/3', H2C));
    for (let i = 1; i <= 3; i += 1) {
      await until(() => waiting.length === i);
      waiting[i - 1]();
    }
    await raw.text(/\/3/);
    expect(told(raw.received.toString())).toEqual([['/1'], ['/2'], ['/3']]);
  });

  test('does not keep its connection from becoming a worker later', async () => {
    const { port } = await startWith(answering('plain'));
    const raw = await rawConnect(port);
    for (let i = 0; i < 20; i += 1) raw.write(requestHead('GET', '/', H2C));
    raw.write(upgradeHead('/workers'));
    await speak(raw, '/workers');
    expect(raw.before.match(/plain/g)).toHaveLength(20);
  });
});
