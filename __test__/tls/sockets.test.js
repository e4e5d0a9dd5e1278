'use strict';

// The socket of an encrypted request: what it reports, how it slows down, and how it ends.

const express = require('express');
const https = require('node:https');
const { once } = require('node:events');
const { certificates } = require('../support/certificates');
const { readAll } = require('../support/http');
const { RawConnection } = require('../support/raw');
const { nextCall, startServer, until } = require('../support/server');
const { shakeHands } = require('../support/tls-client');

let made;
beforeAll(() => {
  made = certificates();
});

const start = (handler, options = {}) =>
  startServer({ tls: { cert: made.server.cert, key: made.server.key }, ...options }, (server) =>
    server.addHttpHandler(handler),
  );

async function get(port, options = {}) {
  const req = https.get({ port, host: 'localhost', agent: false, ca: made.ca.cert, ...options });
  const [res] = await once(req, 'response');
  return { req, text: String(await readAll(res)) };
}

async function raw(port) {
  return new RawConnection(await shakeHands(port, { ca: made.ca.cert }));
}

/** Waits until a number that grows has stood still for a while. */
async function untilStill(read) {
  for (let last = -1; last !== read();) {
    last = read();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

test('it tells the addresses of the connection, and that it is encrypted', async () => {
  let seen;
  const { port } = await start((req, res) => {
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily, encrypted } = req.socket;
    seen = { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily, encrypted };
    seen.address = req.socket.address();
    seen.more = [req.socket.getProtocol(), req.socket.alpnProtocol, req.socket.servername, req.socket.authorized];
    res.end();
    return true;
  });
  let localPort;
  const names = { servername: 'localhost', ALPNProtocols: ['http/1.1'] };
  const req = https.get({ port, host: '127.0.0.1', ...names, agent: false, ca: made.ca.cert });
  req.on('socket', (socket) => socket.once('secureConnect', () => ({ localPort } = socket)));
  const [res] = await once(req, 'response');
  res.resume();
  // As those of a plain connection on a port of both families.
  const address = '::ffff:127.0.0.1';
  expect(seen).toEqual({
    remoteAddress: address,
    remotePort: localPort,
    remoteFamily: 'IPv6',
    localAddress: address,
    localPort: port,
    localFamily: 'IPv6',
    address: { address, family: 'IPv6', port },
    encrypted: true,
    more: ['TLSv1.3', 'http/1.1', 'localhost', false],
  });
});

test("Express' req.secure and req.protocol are right", async () => {
  const app = express();
  app.get('/', (req, res) => res.json([req.secure, req.protocol, req.ip]));
  const { port } = await start(
    (req, res) => new Promise((resolve) => res.on('close', () => resolve(true)) && app(req, res)),
  );
  expect(JSON.parse((await get(port)).text)).toEqual([true, 'https', '::ffff:127.0.0.1']);
});

test('a client that reads slowly slows the response down, and gets all of it', async () => {
  const chunk = Buffer.alloc(65_536, 'x');
  const total = 30_000_000;
  let written = 0;
  const { port } = await start((req, res) => {
    const more = () => {
      while (written < total) {
        written += chunk.length;
        if (!res.write(chunk)) return;
      }
      res.end();
    };
    res.on('drain', more);
    more();
    return true;
  });
  const req = https.get({ port, host: 'localhost', agent: false, ca: made.ca.cert });
  const [res] = await once(req, 'response');
  await untilStill(() => written);
  expect(written).toBeLessThan(total / 2);
  expect((await readAll(res)).length).toBeGreaterThanOrEqual(total);
});

test('a handler that reads slowly slows the request down, and gets all of it', async () => {
  let request;
  const { port } = await start((req) => {
    request = req;
    return true;
  });
  const total = 30_000_000;
  const req = https.request({ port, host: 'localhost', method: 'POST', agent: false, ca: made.ca.cert });
  let sent = 0;
  const chunk = Buffer.alloc(65_536, 'x');
  const more = () => {
    while (sent < total) {
      sent += chunk.length;
      if (!req.write(chunk)) return;
    }
    req.end();
  };
  req.on('drain', more).on('error', () => {});
  more();
  await until(() => request !== undefined);
  await untilStill(() => sent);
  expect(sent).toBeLessThan(total / 2);
  expect((await readAll(request)).length).toBeGreaterThanOrEqual(total);
  req.destroy();
});

test('a response that was ended leaves although its socket is destroyed behind it', async () => {
  const body = 'x'.repeat(5_000_000);
  const { port } = await start((req, res) => {
    res.writeHead(200, { connection: 'close', 'content-length': body.length });
    res.end(body);
    return true;
  });
  expect((await get(port)).text.length).toBe(body.length);
});

test('a stop waits until responses have left', async () => {
  const body = 'x'.repeat(5_000_000);
  const { server, port } = await start((req, res) => {
    res.end(body);
    return true;
  });
  const asked = nextCall((handler) => server.addHttpHandler(handler));
  const req = https.get({ port, host: 'localhost', agent: false, ca: made.ca.cert });
  const [res] = await once(req, 'response');
  const stopped = server.stop();
  expect((await readAll(res)).length).toBe(body.length);
  await stopped;
  expect(asked).toBeInstanceOf(Promise);
});

test('a stop ends kept-alive connections, and is not held up by a client that does not answer', async () => {
  const { server, port } = await start((req, res) => res.end('fine') && true);
  const connection = await raw(port);
  connection.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await connection.text(/fine$/);
  await server.stop();
  await connection.end();
});

test('a client that breaks off is noticed, while a request is read and while nothing is sent', async () => {
  const ends = [];
  const { port, log } = await start((req, res) => {
    req.on('close', () => ends.push(`${req.url} request`));
    res.on('close', () => ends.push(`${req.url} response ${res.writableFinished}`));
    return true;
  });
  for (const [path, head] of [
    ['/reads', 'POST /reads HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc'],
    ['/waits', 'GET /waits HTTP/1.1\r\nHost: h\r\n\r\n'],
  ]) {
    const connection = await raw(port);
    connection.write(head);
    await new Promise((resolve) => setTimeout(resolve, 50));
    connection.socket.destroy();
    await until(() => ends.filter((end) => end.startsWith(path)).length === 2);
  }
  expect(ends.sort()).toEqual(['/reads request', '/reads response false', '/waits request', '/waits response false']);
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a thousand connections leave no descriptor behind', async () => {
  const { readdirSync } = require('node:fs');
  const { port } = await start((req, res) => res.end('fine') && true);
  const count = () => readdirSync('/proc/self/fd').length;
  await get(port);
  const before = count();
  for (let i = 0; i < 25; i += 1) await Promise.all(Array.from({ length: 40 }, () => get(port)));
  await until(() => count() <= before + 2);
}, 60_000);
