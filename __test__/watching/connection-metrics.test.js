'use strict';

// `server.metrics()`: connections, how they came and went, and the messages on them.

const http = require('node:http');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { onCleanup } = require('../support/cleanup.js');
const { nextCall, startServer, until } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');
const { nonzero, valueOf } = require('./support/metrics.js');

test('connections are counted: those that are open, and how each came and went', async () => {
  const { server, log } = await startServer({ limits: { maxConnections: 2 } });
  const a = await connectWorker(server, 'a');
  const b = await connect(server);
  await expect(connect(server)).rejects.toThrow('503');
  expect(valueOf(server, 'connections')).toBe(2);
  expect(nonzero(server, 'connections_total')).toEqual({ 'result="accepted"': 2, 'result="refused"': 1 });
  expect(nonzero(server, 'limit_hits_total')).toEqual({ 'limit="maxConnections"': 1 });
  a.ws.close(1000);
  await log.line('Worker disconnected');
  b.ws.close(3210);
  await log.line('Unregistered WebSocket connection closed');
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1000"': 1, 'code="other"': 1 });
  await until(() => valueOf(server, 'connections') === 0);
});

test('an upgrade that a draining server refuses, and one that is none, are refused', async () => {
  const { server } = await startServer();
  const { port } = server;
  const req = http.get({
    port,
    headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'short' },
  });
  await once(req, 'response');
  void server.drain();
  await expect(connect(server)).rejects.toThrow('503');
  expect(nonzero(server, 'connections_total')).toEqual({ 'result="refused"': 2 });
});

test('a connection that this server ends is counted once, with its code', async () => {
  const { server, log } = await startServer({ authToken: 'right', heartbeatTimeoutMs: 10, healthCheckIntervalMs: 5 });
  const wrong = await connect(server);
  wrong.register('w', { authToken: 'wrong' });
  await wrong.closed;
  const first = await connectWorker(server, 'v', { authToken: 'right' });
  await log.line('Worker disconnected');
  await first.closed;
  await until(() => valueOf(server, 'connections') === 0);
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="4001"': 1, 'code="4003"': 1 });
  expect(valueOf(server, 'auth_failures_total')).toBe(1);
});

test('a connection that is lost without a close frame has ended with 1006, and one that stop() closed with 1001', async () => {
  const { server, log } = await startServer();
  const lost = await connectWorker(server, 'w');
  lost.ws.terminate();
  await log.line('Worker disconnected');
  await connectWorker(server, 'v');
  await server.stop();
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1001"': 1, 'code="1006"': 1 });
});

test('messages and their bytes are counted in both directions, and a handler sees those up to its own', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const before = [nonzero(server, 'messages_total'), nonzero(server, 'bytes_total')];
  const seen = nextCall((handler) =>
    server.onWorkerMessage('x', () => handler(valueOf(server, 'messages_total{direction="in"}'))),
  );
  const [text, heartbeat] = ['{"type":"x","text":"é"}', '{"type":"heartbeat","workerId":"w","timestamp":"t"}'];
  worker.sendText(heartbeat);
  const ack = await worker.next('heartbeat_ack');
  worker.sendText(text);
  expect(await seen).toEqual([before[0]['direction="in"'] + 2]);
  server.send('w', { n: 'é' });
  server.broadcast({ n: 2 });
  await worker.next();
  const bytes = (...all) => all.reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  expect(nonzero(server, 'messages_total')).toEqual({
    'direction="in"': before[0]['direction="in"'] + 2,
    'direction="out"': before[0]['direction="out"'] + 3,
  });
  expect(nonzero(server, 'bytes_total')).toEqual({
    'direction="in"': before[1]['direction="in"'] + bytes(text, heartbeat),
    'direction="out"': before[1]['direction="out"'] + bytes(JSON.stringify(ack), '{"n":"é"}', '{"n":2}'),
  });
});

test('a socket that a stranger opens and drops is a connection too', async () => {
  const { server, log } = await startServer();
  const ws = new WebSocket(`ws://localhost:${server.port}`);
  onCleanup(() => ws.terminate());
  await once(ws, 'open');
  ws.terminate();
  await log.line('Unregistered WebSocket connection closed');
  expect(nonzero(server, 'disconnects_total')).toEqual({ 'code="1006"': 1 });
});
