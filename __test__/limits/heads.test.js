'use strict';

const { startServer } = require('../support/server');
const { request, answering } = require('../support/http');
const { openWorker } = require('../support/socket');
const { rawConnect, upgradeHead } = require('../support/raw');

const withAnswer = (server) => server.addHttpHandler(answering('fine'));

test('a head that never ends is answered with 408 and its connection closed', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } }, withAnswer);
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n');
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  expect((await request(port)).text).toBe('fine');
});

test('the head of an upgrade that never ends is answered with 408 as well', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } });
  const raw = await rawConnect(port);
  raw.write(upgradeHead('/').slice(0, -2));
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 408 /);
});

test('bytes that dribble in do not put off the end of the time for the head', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 150 } });
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\n');
  const timer = setInterval(() => raw.write('X: y\r\n'), 20);
  const text = await raw.end();
  clearInterval(timer);
  expect(text).toMatch(/^HTTP\/1\.1 408 /);
});

test('a head of more headers than anyone sends, which never ends, is answered with 408 too', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } });
  const raw = await rawConnect(port);
  raw.write(`GET / HTTP/1.1\r\nHost: h\r\n${'X: y\r\n'.repeat(300)}`);
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 408 /);
});

test('a later head on a kept-alive connection, which never ends, ends the connection too', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } }, withAnswer);
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await raw.text(/fine$/);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n');
  expect(await raw.end()).toMatch(/fine(HTTP\/1\.1 408 [^]*)?$/);
});

test('a connection that sends nothing is closed when the time for the head is over', async () => {
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } });
  const raw = await rawConnect(port);
  expect(await raw.end()).toMatch(/^(HTTP\/1\.1 408 [^]*)?$/);
});

test('a worker and a request that came in time are not touched by the time for the head', async () => {
  let finish;
  let asked;
  const ask = new Promise((resolve) => {
    asked = resolve;
  });
  const { port } = await startServer({ limits: { headTimeoutMs: 100 } }, (server) =>
    server.addHttpHandler(async (req, res) => {
      finish = () => res.end('late');
      asked();
      return true;
    }),
  );
  const worker = await openWorker(port, 'w');
  const response = request(port);
  await ask;
  // Opened later, so when its time is over that of the others is as well.
  const raw = await rawConnect(port);
  raw.write('GET');
  await raw.end();
  finish();
  expect((await response).text).toBe('late');
  worker.send({ type: 'heartbeat', workerId: 'w', timestamp: 't' });
  expect((await worker.nextJson()).type).toBe('heartbeat_ack');
});

test.each([
  ['of a request', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(3000)}\r\n\r\n`],
  ['of an upgrade', upgradeHead('/', { X: 'x'.repeat(3000) })],
  ['of one endless line', `GET /${'x'.repeat(5000)}`],
  ['of many small headers', `GET / HTTP/1.1\r\nHost: h\r\n${'X: y\r\n'.repeat(600)}`],
])('a head %s beyond limits.maxHeadBytes is answered with 431 and its connection closed', async (_, head) => {
  const { port } = await startServer({ limits: { maxHeadBytes: 2048 } }, withAnswer);
  const raw = await rawConnect(port);
  raw.write(head);
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 431 /);
  expect((await request(port)).text).toBe('fine');
});

test('a head within limits.maxHeadBytes passes, however long the body', async () => {
  const { port } = await startServer({ limits: { maxHeadBytes: 2048 } }, withAnswer);
  expect(
    (await request(port, { method: 'POST', body: 'x'.repeat(100000), headers: { 'x-some': 'x'.repeat(1000) } })).text,
  ).toBe('fine');
  expect((await openWorker(port, 'w', {}, `/${'p'.repeat(1000)}`)).ack.success).toBe(true);
});

test('the default of limits.maxHeadBytes is 16 KiB', async () => {
  const { port } = await startServer({}, withAnswer);
  const raw = await rawConnect(port);
  raw.write(upgradeHead('/', { X: 'x'.repeat(17 * 1024) }));
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 431 /);
});

test.each([
  ['has no key', { 'Sec-WebSocket-Key': undefined }, /^HTTP\/1\.1 400 /],
  ['has a key that is too short', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, /^HTTP\/1\.1 400 /],
  ['has version 12', { 'Sec-WebSocket-Version': '12' }, /^HTTP\/1\.1 (400|426) [^]*Sec-WebSocket-Version: 13/i],
  ['has no version', { 'Sec-WebSocket-Version': undefined }, /^HTTP\/1\.1 (400|426) /],
])('an upgrade that %s is refused, and the server goes on', async (_, headers, expected) => {
  const { port } = await startServer();
  const raw = await rawConnect(port);
  raw.write(upgradeHead('/', headers));
  expect(await raw.end()).toMatch(expected);
  expect((await openWorker(port, 'w')).ack.success).toBe(true);
});
