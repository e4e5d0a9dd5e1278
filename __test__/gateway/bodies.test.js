'use strict';

// Bodies, and what bounds them.

const { once } = require('node:events');
const net = require('node:net');
const { openaiGateway } = require('../../lib/gateway/index.js');
const { ask, get, startGateway } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { startServer } = require('../support/server.js');

const MIB = 1024 * 1024;

/** A body of exactly `bytes` bytes. */
function bodyOf(bytes) {
  const empty = JSON.stringify({ model: 'm', text: '' });
  return JSON.stringify({ model: 'm', text: 'x'.repeat(bytes - empty.length) });
}

/** Opens a connection and sends a request's head; the test then sends as much of the body as it likes. */
async function opened(port, headers) {
  const socket = net.connect(port, '127.0.0.1');
  onCleanup(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  const lines = ['POST /v1/chat/completions HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...headers];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  const answered = new Promise((resolve) => {
    socket.on('data', (data) => {
      text += data;
      if (text.includes('\r\n\r\n')) resolve(text);
    });
  });
  const send = (data) => new Promise((resolve) => socket.write(data, resolve));
  return { socket, answered, send };
}

test('the largest body is taken, and one byte more is not, with a Content-Length or without', async () => {
  const { server, port } = await startGateway({ maxBodyBytes: 5_000 });
  const worker = await connectRequestWorker(server);
  const answer = ask(port, { body: bodyOf(5_000) });
  worker.answer(await worker.nextRequest(), 'result', { data: {} });
  expect((await answer).status).toBe(200);
  for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
    const refused = await ask(port, { body: bodyOf(5_001), headers });
    expect([refused.status, refused.json.error]).toEqual([
      413,
      { message: expect.stringMatching(/5000/), type: 'invalid_request_error', param: null, code: 'body_too_large' },
    ]);
    expect(refused.headers['x-should-retry']).toBe('false');
  }
});

test('32 MiB is the default, and a client that sends much more still reads the answer', async () => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server);
  const answer = ask(port, { body: bodyOf(32 * MIB) });
  worker.answer(await worker.nextRequest(), 'result', { data: {} });
  expect((await answer).status).toBe(200);
  for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
    expect((await ask(port, { body: bodyOf(48 * MIB), headers })).status).toBe(413);
  }
});

test('the connection of a body that was refused goes on', async () => {
  const { port } = await startGateway({ maxBodyBytes: 10 });
  const { answered, send, socket } = await opened(port, ['Content-Length: 20']);
  expect(await answered).toMatch(/^HTTP\/1\.1 413 /);
  await send('x'.repeat(20));
  await send('GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n');
  const [data] = await once(socket, 'data');
  expect(String(data)).toMatch(/^HTTP\/1\.1 200 /);
});

test('what no worker can be sent is too large as well', async () => {
  const { server, port } = await startGateway({}, { limits: { maxQueuedBytes: 10_000 } });
  await connectRequestWorker(server);
  for (const stream of [false, true]) {
    const { status, json } = await ask(port, { body: { model: 'm', stream, text: 'x'.repeat(10_000) } });
    expect([status, json.error.code]).toEqual([413, 'body_too_large']);
  }
});

test('all bodies that are being received have 256 MiB; what ends, or breaks off, makes room', async () => {
  const { port } = await startGateway({ maxBodyBytes: 300 * MIB });
  const part = Buffer.alloc(64 * MIB, 'x');
  const clients = [];
  for (let i = 0; i < 4; i += 1) {
    const client = await opened(port, [`Content-Length: ${65 * MIB}`]);
    await client.send(part.subarray(0, 63 * MIB));
    clients.push(client);
  }
  // The one of which the last part arrives is refused.
  const beyond = await opened(port, [`Content-Length: ${65 * MIB}`]);
  beyond.socket.write(part);
  const text = await Promise.race([beyond.answered, ...clients.map(({ answered }) => answered)]);
  expect(text).toMatch(/^HTTP\/1\.1 503 /);
  expect(text).toMatch(/^x-should-retry: true\r$/im);
  expect(text).toMatch(/^retry-after: [1-9]\d*\r$/im);
  expect(text).toMatch(/^x-request-id: .+\r$/im);
  // A body that only says how long it would be holds no room.
  for (let i = 0; i < 5; i += 1) await opened(port, [`Content-Length: ${250 * MIB}`]);
  expect((await get(port, '/v1/models')).status).toBe(200);
  for (const { socket } of clients) socket.destroy();
  await Promise.all(clients.map(({ socket }) => once(socket, 'close')));
  beyond.socket.destroy();
  let last;
  do last = await ask(port, { body: bodyOf(64 * MIB) });
  while (last.status === 503);
  expect(last.status).toBe(404);
}, 60_000);

test('a client that breaks off in the middle of its body disturbs nobody', async () => {
  const { server, port, log } = await startGateway();
  const worker = await connectRequestWorker(server);
  for (const how of ['destroy', 'end', 'resetAndDestroy']) {
    const { socket, send } = await opened(port, ['Content-Length: 100']);
    await send('{"model":');
    socket[how]();
    await once(socket, 'close');
  }
  const answer = ask(port);
  worker.answer(await worker.nextRequest(), 'result', { data: {} });
  expect((await answer).status).toBe(200);
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a body that a handler before has read is no body, and nobody waits for it', async () => {
  const { server, port, log } = await startServer({}, (made) => {
    made.addHttpHandler(async (req) => {
      for await (const _data of req);
      return false;
    });
    made.addHttpHandler(openaiGateway(made));
  });
  await connectRequestWorker(server);
  expect((await ask(port)).status).toBe(500);
  expect(log.contexts('Error in gateway')).toEqual([{ error: expect.stringMatching(/body/) }]);
});
