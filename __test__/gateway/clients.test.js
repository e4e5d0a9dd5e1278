'use strict';

// Clients that leave, and clients that are slow.

const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { CHAT, STREAM, ask, open, openStream, startGateway } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');
const { readAll } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

const requestText = (body, path = CHAT) => {
  const text = JSON.stringify(body);
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${text.length}`;
  return `${head}\r\n\r\n${text}`;
};

/** A connection on which nothing is read unless one asks. */
async function connect(port) {
  const socket = net.connect(port, '127.0.0.1');
  onCleanup(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/**
 * A gateway that lets nobody in before `decide` is called. `arrived` resolves with the first request, as the server has
 * it.
 */
async function undecidedGateway(serverOptions) {
  const made = {};
  made.arrived = new Promise((resolve) => {
    made.onArrived = resolve;
  });
  const decision = new Promise((resolve) => {
    made.decide = resolve;
  });
  const authenticate = (req) => {
    made.onArrived(req);
    return decision;
  };
  return { ...made, ...(await startGateway({ authenticate }, serverOptions)) };
}

describe.each([false, true])('a client that is gone, with stream: %s', (stream) => {
  test.each(['destroy', 'end', 'resetAndDestroy'])('by %s has its request aborted', async (how) => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const socket = await connect(port);
    socket.write(requestText({ model: 'm', stream }));
    const asked = await worker.nextRequest();
    socket[how]();
    const cancel = await worker.next('request_cancel');
    expect([cancel.requestId, cancel.reason]).toEqual([asked.requestId, 'aborted']);
  });

  test('leaves the queue, and nothing is sent for it', async () => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    const first = ask(port);
    const asked = await worker.nextRequest();
    const socket = await connect(port);
    socket.write(requestText({ model: 'm', stream }));
    await until(() => server.getQueueInfo().size === 1);
    socket.destroy();
    await until(() => server.getQueueInfo().size === 0);
    worker.answer(asked, 'result', { data: {} });
    await first;
    await worker.sync();
    expect(worker.frames.filter((frame) => frame.includes('"type":"request"'))).toHaveLength(1);
  });

  test('while it is decided whether it may in has nothing sent for it', async () => {
    const { server, port, arrived, decide } = await undecidedGateway();
    const worker = await connectRequestWorker(server);
    const socket = await connect(port);
    socket.write(requestText({ model: 'm', stream }));
    const req = await arrived;
    socket.destroy();
    await once(req.socket, 'close');
    decide(true);
    const answer = ask(port, { body: { model: 'm', user: 'later' } });
    const asked = await worker.nextRequest();
    expect(asked.payload.body.user).toBe('later');
    worker.answer(asked, 'result', { data: {} });
    expect((await answer).status).toBe(200);
  });
});

test('a client that leaves in the middle of a stream has its request aborted', async () => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server);
  const opened = openStream(port);
  const asked = await worker.nextRequest();
  worker.answer(asked, 'chunk', { seq: 0, data: 'a' });
  (await opened).destroy();
  expect((await worker.next('request_cancel')).requestId).toBe(asked.requestId);
});

test('requests that were pipelined are all aborted when their client leaves', async () => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server, 'w', { slots: 20 });
  const socket = await connect(port);
  socket.write(Array.from({ length: 15 }, (_, i) => requestText({ model: 'm', stream: i % 2 === 0 })).join(''));
  const asked = [];
  for (let i = 0; i < 15; i += 1) asked.push((await worker.nextRequest()).requestId);
  socket.destroy();
  const cancelled = [];
  for (let i = 0; i < 15; i += 1) cancelled.push((await worker.next('request_cancel')).requestId);
  expect(cancelled.sort()).toEqual(asked.sort());
});

test('pipelined requests are answered in their order', async () => {
  const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 100 } });
  const worker = await connectRequestWorker(server);
  const socket = await connect(port);
  socket.write(requestText({ model: 'm', n: 1 }) + requestText({ ...STREAM, n: 2 }));
  const first = await worker.nextRequest();
  const second = await worker.nextRequest();
  // More than is kept for one that waits for its turn: it is not the client that keeps it waiting.
  const big = 'x'.repeat(200_000);
  worker.answer(second, 'chunk', { seq: 0, data: big });
  worker.answer(second, 'result');
  await new Promise((resolve) => setTimeout(resolve, 300));
  worker.answer(first, 'result', { data: { n: 1 } });
  let text = '';
  for await (const data of socket) {
    text += data;
    if (text.includes('[DONE]')) break;
  }
  expect(text.indexOf('{"n":1}')).toBeGreaterThan(0);
  expect(text.indexOf(big)).toBeGreaterThan(text.indexOf('{"n":1}'));
});

const BIG = 'x'.repeat(1024 * 1024);

describe('a client that takes nothing', () => {
  test('of a stream is cut after limits.stallTimeoutMs, and its request aborted', async () => {
    const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 200, maxStreamBytes: 2 ** 30 } });
    const worker = await connectRequestWorker(server);
    const socket = await connect(port);
    socket.write(requestText(STREAM));
    const asked = await worker.nextRequest();
    for (let seq = 0; seq < 20; seq += 1) worker.answer(asked, 'chunk', { seq, data: BIG });
    expect((await worker.next('request_cancel')).reason).toBe('aborted');
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    await once(socket, 'close');
    expect(text).not.toMatch(/\[DONE\]/);
  });

  test.each([
    ['a stream that has ended', true],
    ['a whole answer', false],
  ])('of %s is cut as well', async (_what, stream) => {
    const { server, port, arrived, decide } = await undecidedGateway({ limits: { stallTimeoutMs: 200 } });
    const worker = await connectRequestWorker(server);
    const socket = await connect(port);
    socket.write(requestText({ model: 'm', stream }));
    const req = await arrived;
    decide(true);
    const asked = await worker.nextRequest();
    if (stream) worker.answer(asked, 'chunk', { seq: 0, data: BIG.repeat(14) });
    worker.answer(asked, 'result', { data: BIG.repeat(30) });
    await once(req.socket, 'close');
    let size = 0;
    socket.on('data', (data) => {
      size += data.length;
    });
    await once(socket, 'close');
    expect(size).toBeLessThan((stream ? 14 : 30) * BIG.length);
  });

  test('disturbs no other client, nor its worker', async () => {
    const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 300 } });
    const worker = await connectRequestWorker(server);
    const socket = await connect(port);
    socket.write(requestText(STREAM));
    const stalled = await worker.nextRequest();
    for (let seq = 0; seq < 14; seq += 1) worker.answer(stalled, 'chunk', { seq, data: BIG });
    const answer = ask(port);
    worker.answer(await worker.nextRequest(), 'result', { data: { fine: true } });
    expect((await answer).json).toEqual({ fine: true });
    expect((await worker.next('request_cancel')).requestId).toBe(stalled.requestId);
  });
});

test('a client that is slow, and takes a little all the time, gets all of it', async () => {
  const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 400, maxStreamBytes: 2 ** 30 } });
  const worker = await connectRequestWorker(server);
  const opened = openStream(port);
  const asked = await worker.nextRequest();
  const count = 24;
  for (let seq = 0; seq < count; seq += 1) worker.answer(asked, 'chunk', { seq, data: BIG });
  worker.answer(asked, 'result');
  const res = await opened;
  let size = 0;
  let sincePause = 0;
  let tail = '';
  for await (const data of res) {
    size += data.length;
    sincePause += data.length;
    tail = (tail + data).slice(-20);
    if (sincePause > BIG.length) {
      sincePause = 0;
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  expect(size).toBe(count * (BIG.length + 'data: ""\n\n'.length) + 'data: [DONE]\n\n'.length);
  expect(tail).toMatch(/data: \[DONE\]\n\n$/);
}, 60_000);

test('a connection goes on after a stream, and is not cut for its silence', async () => {
  const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 50 } });
  const worker = await connectRequestWorker(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onCleanup(() => agent.destroy());
  const sockets = new Set();
  for (let i = 0; i < 3; i += 1) {
    const opened = open(port, { body: { model: 'm', stream: i === 1 }, agent });
    const asked = await worker.nextRequest();
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (i === 1) worker.answer(asked, 'chunk', { seq: 0, data: 'a' });
    await new Promise((resolve) => setTimeout(resolve, 150));
    worker.answer(asked, 'result', { data: {} });
    const res = await opened;
    sockets.add(res.socket);
    await readAll(res);
  }
  expect(sockets.size).toBe(1);
});

test('a client that has taken what it was behind with is not cut for the silence of its worker', async () => {
  const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 300 } });
  const worker = await connectRequestWorker(server);
  const opened = openStream(port);
  const asked = await worker.nextRequest();
  for (let seq = 0; seq < 14; seq += 1) worker.answer(asked, 'chunk', { seq, data: BIG });
  const res = await opened;
  await worker.sync();
  let size = 0;
  res.on('data', (data) => {
    size += data.length;
  });
  await until(() => size >= 14 * BIG.length || res.closed);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  worker.answer(asked, 'result');
  await until(() => res.closed);
  expect(size).toBe(14 * (BIG.length + 'data: ""\n\n'.length) + 'data: [DONE]\n\n'.length);
});

test('nor is one whose next answer on the same connection takes its time', async () => {
  const { server, port } = await startGateway({}, { limits: { stallTimeoutMs: 50 } });
  const worker = await connectRequestWorker(server);
  const socket = await connect(port);
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  socket.write(requestText({ model: 'm' }).repeat(2));
  worker.answer(await worker.nextRequest(), 'result', { data: { n: 1 } });
  const second = await worker.nextRequest();
  await until(() => text.includes('{"n":1}') || socket.closed);
  await new Promise((resolve) => setTimeout(resolve, 300));
  worker.answer(second, 'result', { data: { n: 2 } });
  await until(() => text.includes('{"n":2}') || socket.closed);
  expect(text).toMatch(/{"n":2}/);
});
