'use strict';

const { startServer } = require('../support/server');
const { request, readAll, answering } = require('../support/http');
const { rawConnect, RawWebSocket } = require('../support/raw');
const { http, isSecure, reset } = require('../support/transport');

/** Answers with method, url and body. */
async function echo(req, res) {
  const body = await readAll(req);
  res.end(`${req.method} ${req.url} ${body}`);
  return true;
}

test('a connection is kept alive and serves one request after another', async () => {
  const sockets = new Set();
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      sockets.add(req.socket);
      return echo(req, res);
    }),
  );
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 20; i += 1) {
    expect((await request(port, { agent, method: 'POST', path: `/${i}`, body: `body ${i}` })).text).toBe(
      `POST /${i} body ${i}`,
    );
  }
  agent.destroy();
  expect(sockets.size).toBe(1);
});

test('five requests in one packet get five responses in order', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      // The earlier ones take longer: the order must come from the connection, not from who is ready first.
      for (let turn = Number(req.url.slice(1)); turn < 5; turn += 1)
        await new Promise((resolve) => setImmediate(resolve));
      res.end(`<${req.url}>`);
      return true;
    }),
  );
  const raw = await rawConnect(port);
  raw.write(
    [1, 2, 3, 4, 5]
      .map((i) => `GET /${i} HTTP/1.1\r\nHost: h\r\n${i === 5 ? 'Connection: close\r\n' : ''}\r\n`)
      .join(''),
  );
  const text = await raw.end();
  expect(text.match(/<[^>]*>/g)).toEqual(['</1>', '</2>', '</3>', '</4>', '</5>']);
  expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(5);
});

test('a client that has ended its side still gets its response', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const raw = await rawConnect(port);
  raw.socket.end('POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody');
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 200 OK[^]*POST \/half body$/);
});

test('a client of HTTP/1.0 gets its response and the end of the connection', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const raw = await rawConnect(port);
  raw.write('GET /old HTTP/1.0\r\n\r\n');
  expect(await raw.end()).toMatch(/GET \/old $/);
});

test.each([
  ['text that is no HTTP', 'garbage\r\n\r\n'],
  ['text of one line', 'hello there, server\r\n'],
  ['a header without a colon', 'GET / HTTP/1.1\r\nHost: h\r\nwrong\r\n\r\n'],
  ['a version that does not exist', 'GET / HTTP/9.9\r\nHost: h\r\n\r\n'],
])('%s is answered with 400, and the server goes on', async (_, bytes) => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(answering('fine')));
  const raw = await rawConnect(port);
  raw.write(bytes);
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 400 Bad Request/);
  expect((await request(port)).text).toBe('fine');
});

test('what begins like TLS is closed at once on a plain port; within TLS it is no HTTP', async () => {
  const { port, log } = await startServer({}, (server) => server.addHttpHandler(answering('fine')));
  const raw = await rawConnect(port);
  raw.write(Buffer.from('16030100050100000a0d0a0d0a', 'hex'));
  expect(await raw.end()).toMatch(isSecure ? /^HTTP\/1\.1 400 Bad Request/ : /^$/);
  expect((await request(port)).text).toBe('fine');
  const line = ['warn', 'TLS on a plain port', { remoteAddress: '127.0.0.1' }];
  const lines = log.lines.filter(({ level }) => level === 'warn');
  expect(lines.map(({ level, message, context }) => [level, message, context])).toEqual(isSecure ? [] : [line]);
});

test('a connection that says nothing and leaves does no harm', async () => {
  const { port, log } = await startServer({}, (server) => server.addHttpHandler(answering('fine')));
  for (let i = 0; i < 10; i += 1) {
    const raw = await rawConnect(port);
    if (i % 2 === 0) raw.write('GET / HT');
    raw.socket.destroy();
  }
  expect((await request(port)).text).toBe('fine');
  expect(log.lines.filter((line) => line.level === 'error')).toEqual([]);
});

test('a connection that is reset in the middle of a response does no harm', async () => {
  let closed;
  const close = new Promise((resolve) => {
    closed = resolve;
  });
  const { port, log } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      if (req.url !== '/endless') return answering('fine')(req, res);
      const write = () => {
        while (!res.destroyed && res.write('x'.repeat(65536)));
      };
      res.on('drain', write);
      res.on('close', closed);
      write();
      return true;
    }),
  );
  const raw = await rawConnect(port);
  raw.write('GET /endless HTTP/1.1\r\nHost: h\r\n\r\n');
  await raw.text(/200 OK/);
  reset(raw.socket);
  await close;
  expect((await request(port)).text).toBe('fine');
  expect(log.lines.filter((line) => line.level === 'error')).toEqual([]);
});

test('workers and requests come over IPv6 as well', async () => {
  const { server, port } = await startServer({}, (unstarted) => unstarted.addHttpHandler(answering('six')));
  const raw = await RawWebSocket.register(port, 'w', { host: '::1' });
  expect([raw.ack.success, server.getWorkerCount()]).toEqual([true, 1]);
  expect((await request(port, { host: '::1' })).text).toBe('six');
});

test('a hundred connections at once each get their own response', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const all = await Promise.all(
    Array.from({ length: 100 }, (_, i) => request(port, { method: 'POST', path: `/${i}`, body: `${i}` })),
  );
  expect(all.map((response) => response.text)).toEqual(Array.from({ length: 100 }, (_, i) => `POST /${i} ${i}`));
});

test('a head of 15 KB is within the default limit', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      res.end(String(req.headers['x-long'].length));
      return true;
    }),
  );
  expect((await request(port, { headers: { 'x-long': 'x'.repeat(15000) } })).text).toBe('15000');
});

test('a head of a hundred headers is passed on complete', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      res.end(JSON.stringify(req.rawHeaders));
      return true;
    }),
  );
  const raw = await rawConnect(port);
  const headers = Array.from({ length: 100 }, (_, i) => [`X-Header-${i}`, `value ${i}`]);
  raw.write(
    `GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  );
  const text = await raw.end();
  expect(JSON.parse(text.match(/\[.*\]/)[0])).toEqual(['Host', 'h', 'Connection', 'close', ...headers.flat()]);
});
