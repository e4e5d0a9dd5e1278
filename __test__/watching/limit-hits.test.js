'use strict';

// `limit_hits_total` of `server.metrics()`: for each label something real that makes that limit hold, and no other.

const { openaiGateway } = require('../../lib/gateway/index.js');
const { metricLabels } = require('../../lib/native/abi.js');
const { exceededLimit } = require('../../lib/server/head-limits.js');
const { block } = require('../support/fleet.js');
const { RawWebSocket, json, rawConnect, upgradeHead } = require('../support/raw.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { nextCall, startServer, until } = require('../support/server.js');
const { openSocket, refusedUpgrade } = require('../support/socket.js');
const { connect, connectWorker } = require('../support/worker.js');
const { nonzero } = require('./support/metrics.js');

const KIB = 1024;
const PAD = 'x'.repeat(64 * KIB);

/** A registered worker that reads nothing from now on, and for which more waits than its system takes. */
async function deafWorker({ server, port }) {
  const raw = await RawWebSocket.register(port, 'deaf');
  raw.socket.pause();
  await until(() => !server.send('deaf', { type: 'work', pad: PAD }));
  return raw;
}

/** Messages that come while those before are unhandled, for which this thread waits: they are not read. */
const unhandled = async ({ server, port }) => {
  const raw = await RawWebSocket.register(port, 'w');
  for (let n = 0; n < 2_000 && Object.keys(nonzero(server, 'limit_hits_total')).length === 0; n += 1) {
    raw.write(json({ type: 'x' }));
    block(5);
  }
};

/** By label: the limits of the server, other options, what to do with it, and what else holds then. */
const CAUSES = {
  maxMessageBytes: {
    limits: { maxMessageBytes: 1_000 },
    async cause({ server }) {
      const worker = await connectWorker(server, 'w');
      worker.send({ type: 'x', pad: 'x'.repeat(1_000) });
      expect((await worker.closed).code).toBe(1009);
    },
  },
  headTimeoutMs: {
    limits: { headTimeoutMs: 50 },
    async cause({ port }) {
      const raw = await rawConnect(port);
      raw.write('GET / HTTP/1.1\r\n');
      expect(await raw.end()).toMatch(/^HTTP\/1\.1 408 /);
    },
  },
  maxHeadBytes: {
    limits: { maxHeadBytes: 1_000 },
    async cause({ port }) {
      const raw = await rawConnect(port);
      raw.write(upgradeHead('/', { X: 'x'.repeat(1_000) }));
      expect(await raw.end()).toMatch(/^HTTP\/1\.1 431 /);
    },
  },
  registrationTimeoutMs: {
    limits: { registrationTimeoutMs: 50 },
    async cause({ port }) {
      const { closed } = await openSocket(port);
      expect((await closed).code).toBe(4004);
    },
  },
  maxConnections: {
    limits: { maxConnections: 1 },
    async cause({ server, port }) {
      await connectWorker(server, 'w');
      expect(await refusedUpgrade(port)).toBe(503);
    },
  },
  maxUnregistered: {
    limits: { maxUnregistered: 1 },
    async cause({ port }) {
      await openSocket(port);
      expect(await refusedUpgrade(port)).toBe(503);
    },
  },
  authTimeoutMs: {
    limits: { authTimeoutMs: 20 },
    options: { authenticate: () => new Promise(() => {}) },
    async cause({ server }) {
      const client = await connect(server);
      expect((await client.register('w')).success).toBe(false);
    },
  },
  maxAuthFailures: {
    limits: { maxAuthFailures: 1 },
    options: { authToken: 'right' },
    async cause({ server, port }) {
      const client = await connect(server);
      await client.register('w', { authToken: 'wrong' });
      expect(await refusedUpgrade(port)).toBe(429);
    },
  },
  maxQueuedBytes: { limits: { maxQueuedBytes: 128 * KIB }, cause: deafWorker },
  stallTimeoutMs: {
    limits: { stallTimeoutMs: 100, maxQueuedBytes: 128 * KIB },
    also: ['maxQueuedBytes'],
    async cause(started) {
      await deafWorker(started);
      // The system may have room for a little more, which counts as life.
      await until(
        () => started.server.getWorkerCount() === 0 || void started.server.send('deaf', { type: 'work', pad: PAD }),
      );
      expect(started.log.contexts('Worker disconnected')).toEqual([
        { workerId: 'deaf', code: 4008, reason: 'Slow consumer' },
      ]);
    },
  },
  maxUnhandledBytes: { limits: { maxUnhandledBytes: 1 }, cause: unhandled },
  maxUnhandledBytesTotal: { limits: { maxUnhandledBytesTotal: 1 }, cause: unhandled },
  stopGraceMs: {
    limits: { stopGraceMs: 50 },
    async cause({ server, port }) {
      const raw = await RawWebSocket.register(port, 'mute');
      raw.socket.pause();
      await server.stop();
    },
  },
  cancelGraceMs: {
    limits: { cancelGraceMs: 20 },
    async cause({ server, log }) {
      const worker = await connectRequestWorker(server);
      const controller = new AbortController();
      const failed = rejection(server.request({}, { signal: controller.signal }));
      await worker.nextRequest();
      controller.abort();
      await failed;
      await log.line('Worker did not confirm cancellation');
    },
  },
  resumeGraceMs: {
    limits: { resumeGraceMs: 20 },
    async cause({ server }) {
      const worker = await connectRequestWorker(server, 'w', { features: ['request', 'resume'] });
      const failed = rejection(server.request({}));
      await worker.nextRequest();
      worker.ws.terminate();
      expect((await failed).code).toBe('WORKER_LOST');
    },
  },
  maxStreamBytes: {
    limits: { maxStreamBytes: 1_000 },
    async cause({ server }) {
      const worker = await connectRequestWorker(server);
      const { result } = server.stream({});
      const taken = await worker.nextRequest();
      for (const seq of [0, 1]) worker.answer(taken, 'chunk', { seq, data: 'x'.repeat(900) });
      expect((await rejection(result)).code).toBe('STREAM_OVERFLOW');
    },
  },
};

const labelOf = (limit) => `limit="${limit}"`;

test('every label has its cause here', () => {
  expect(Object.keys(CAUSES).sort()).toEqual([...metricLabels.limits].sort());
});

test.each(Object.keys(CAUSES))('%s: counted when it holds, and no other', async (limit) => {
  const { limits, options, cause, also = [] } = CAUSES[limit];
  const started = await startServer({ ...options, limits });
  const hits = () => nonzero(started.server, 'limit_hits_total');
  expect(hits()).toEqual({});
  await cause(started);
  await until(() => hits()[labelOf(limit)] > 0);
  expect(Object.keys(hits()).sort()).toEqual([limit, ...also].map(labelOf).sort());
});

test.each([
  'headTimeoutMs',
  'maxHeadBytes',
  'registrationTimeoutMs',
  'maxMessageBytes',
  'stopGraceMs',
  'cancelGraceMs',
])('%s: one occasion counts as one', async (limit) => {
  const { limits, options, cause } = CAUSES[limit];
  const started = await startServer({ ...options, limits });
  await cause(started);
  await until(() => nonzero(started.server, 'limit_hits_total')[labelOf(limit)] === 1);
});

test.each([
  ['headTimeoutMs', { headTimeoutMs: 50 }, 'GET / HTTP/1.1\r\n', 408],
  ['maxHeadBytes', { maxHeadBytes: 1_000 }, `GET / HTTP/1.1\r\nX: ${'x'.repeat(1_000)}\r\n\r\n`, 431],
])('%s counts for a later head of a connection too', async (limit, limits, head, status) => {
  const { server, port } = await startServer({ limits }, (each) =>
    each.addHttpHandler((req, res) => {
      res.end('first');
      return true;
    }),
  );
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await raw.text(/first$/);
  raw.write(head);
  expect(await raw.end()).toMatch(new RegExp(`HTTP/1\\.1 ${status} `));
  expect(nonzero(server, 'limit_hits_total')).toEqual({ [labelOf(limit)]: 1 });
});

test('a body that takes too long is no hit of headTimeoutMs', () => {
  const late = Object.assign(new Error(), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  expect(exceededLimit(late, true)).toBeUndefined();
  expect(exceededLimit(late, false)).toBe('headTimeoutMs');
});

test("maxMessageBytes counts for an endpoint's sockets too", async () => {
  const { server, port } = await startServer({ limits: { maxMessageBytes: 1_000 } });
  server.addWebSocketEndpoint('/e', () => {});
  const socket = await openSocket(port, '/e');
  socket.send('x'.repeat(1_000));
  expect((await socket.closed).code).toBe(1009);
  await until(() => nonzero(server, 'limit_hits_total')[labelOf('maxMessageBytes')] === 1);
});

test('stopGraceMs counts when HTTP requests are cut', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 50 } });
  const asked = nextCall((handler) =>
    server.addHttpHandler((req) => {
      handler(req);
      return new Promise(() => {});
    }),
  );
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await asked;
  await server.stop();
  expect(nonzero(server, 'limit_hits_total')).toEqual({ [labelOf('stopGraceMs')]: 1 });
});

test('stallTimeoutMs counts when a client of the gateway takes nothing', async () => {
  const { server, port } = await startServer({ limits: { stallTimeoutMs: 100 } }, (each) =>
    each.addHttpHandler(openaiGateway(each)),
  );
  const worker = await connectRequestWorker(server);
  const body = JSON.stringify({ model: 'm' });
  const raw = await rawConnect(port);
  raw.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const taken = await worker.nextRequest();
  raw.socket.pause();
  // More than the system's buffers at both ends take.
  worker.answer(taken, 'result', { data: 'x'.repeat(16 * 1024 * KIB) });
  await until(() => nonzero(server, 'limit_hits_total')[labelOf('stallTimeoutMs')] === 1);
});
