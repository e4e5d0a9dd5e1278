'use strict';

// What a server publishes on the channels of `node:diagnostics_channel`.

const diagnostics = require('node:diagnostics_channel');
const { onCleanup } = require('../support/cleanup.js');
const { request } = require('../support/http.js');
const { startProgram } = require('../support/program.js');
const { nextCall, startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { openaiGateway } = require('../../lib/gateway/index.js');

/** The `messages` that are published on a channel while the test runs, and `next()`, which resolves with the next message. */
function watch(name) {
  const messages = [];
  const readers = [];
  const onMessage = (message) => {
    messages.push(message);
    readers.shift()?.(message);
  };
  diagnostics.subscribe(name, onMessage);
  onCleanup(() => diagnostics.unsubscribe(name, onMessage));
  return { messages, next: () => new Promise((resolve) => readers.push(resolve)) };
}

const NAMES = ['connected', 'disconnected', 'updated'];

test('a worker that comes, changes and leaves is published before the handlers hear of it', async () => {
  const { server } = await startServer();
  const order = [];
  for (const name of NAMES) {
    const onMessage = (message) => order.push([`channel ${name}`, message]);
    diagnostics.subscribe(`worker-server:worker.${name}`, onMessage);
    onCleanup(() => diagnostics.unsubscribe(`worker-server:worker.${name}`, onMessage));
  }
  server.onWorkerConnected((worker) => order.push(['handler connected', worker]));
  server.onWorkerUpdated((worker, change) => order.push(['handler updated', worker, change]));
  server.onWorkerDisconnected((worker) => order.push(['handler disconnected', worker]));
  const worker = await connectRequestWorker(server, 'w');
  server.setWorkerStatus('w', 'draining');
  worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['n'], 3) });
  await worker.next('worker_update_ack');
  server.trackRequest('w', 'own');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  worker.ws.close(4321, 'bye');
  await left;
  expect(order.map(([what]) => what)).toEqual([
    'channel connected',
    'handler connected',
    'channel updated',
    'handler updated',
    'channel updated',
    'handler updated',
    'channel disconnected',
    'handler disconnected',
  ]);
  const [connected, draining, changed, disconnected] = order.filter(([what]) => what.startsWith('channel'));
  expect(connected[1]).toEqual({ server, worker: expect.objectContaining({ id: 'w', status: 'available' }) });
  expect(connected[1].server).toBe(server);
  expect(draining[1]).toEqual({ server, worker: expect.objectContaining({ status: 'draining' }), change: 'status' });
  const capabilities = expect.objectContaining({ maxConcurrentRequests: 3 });
  expect(changed[1]).toEqual({ server, worker: expect.objectContaining({ capabilities }), change: 'capabilities' });
  expect(disconnected[1]).toEqual({
    server,
    worker: expect.objectContaining({ id: 'w', activeRequests: 1 }),
    code: 4321,
    reason: 'bye',
    pendingRequestIds: new Set(['own']),
  });
});

test('the pending ids that are published are not those that the handlers get', async () => {
  const { server } = await startServer();
  const left = watch('worker-server:worker.disconnected').next();
  const told = nextCall((handler) => server.onWorkerDisconnected(handler));
  const worker = await connectWorker(server, 'w');
  server.trackRequest('w', 'own');
  worker.ws.terminate();
  const { pendingRequestIds, code } = await left;
  pendingRequestIds.clear();
  expect(code).toBe(1006);
  expect((await told)[1]).toEqual(new Set(['own']));
});

test('a worker that is replaced, or registers again, is published as disconnected, with requests or without', async () => {
  const { server } = await startServer();
  const { messages: left } = watch('worker-server:worker.disconnected');
  const first = await connectWorker(server, 'w');
  const second = await connectWorker(server, 'w');
  await first.closed;
  server.trackRequest('w', 'own');
  await second.register('w');
  expect(left).toEqual([
    expect.objectContaining({ code: 4003, reason: 'Replaced by new connection', pendingRequestIds: new Set() }),
    expect.objectContaining({ code: 1000, pendingRequestIds: new Set(['own']) }),
  ]);
  expect(left.map(({ worker }) => worker.sessionId)).toEqual([first.ack.sessionId, second.ack.sessionId]);
});

test('stop() publishes no worker as disconnected', async () => {
  const { server } = await startServer();
  const { messages: left } = watch('worker-server:worker.disconnected');
  const worker = await connectWorker(server, 'w');
  await server.stop();
  await worker.closed;
  expect(left).toEqual([]);
});

describe('what handlers and callbacks throw is published itself, with where it was', () => {
  /** A message of the error channel, but for the server. */
  const thrown = (error, where, id) => ({ error, where, ...(id && { worker: expect.objectContaining({ id }) }) });

  /** Starts a server, has `cause` go wrong with it, and compares what is published. */
  async function expectError(cause, error, where, id, options) {
    const { server } = await startServer(options);
    const next = watch('worker-server:error').next();
    await cause(server);
    const { server: from, ...message } = await next;
    expect(from).toBe(server);
    expect(message).toEqual(thrown(error, where, id));
    expect(message.error).toBe(error);
  }
  const error = new Error('boom');
  const boom = () => {
    throw error;
  };

  test('connected handler', () =>
    expectError(
      async (server) => {
        server.onWorkerConnected(boom);
        await connectWorker(server, 'w');
      },
      error,
      'connected handler',
      'w',
    ));

  test('disconnected handler, which rejects', () =>
    expectError(
      async (server) => {
        server.onWorkerDisconnected(async () => boom());
        (await connectWorker(server, 'w')).ws.close();
      },
      error,
      'disconnected handler',
      'w',
    ));

  test('updated handler', () =>
    expectError(
      async (server) => {
        server.onWorkerUpdated(boom);
        await connectRequestWorker(server, 'w');
        server.setWorkerStatus('w', 'draining');
      },
      error,
      'updated handler',
      'w',
    ));

  test('message handler', () =>
    expectError(
      async (server) => {
        server.onWorkerMessage('x', boom);
        (await connectWorker(server, 'w')).send({ type: 'x' });
      },
      error,
      'message handler',
      'w',
    ));

  test('request callback', () =>
    expectError(
      async (server) => {
        await connectRequestWorker(server, 'w');
        server.request({}, { onStarted: boom }).catch(() => {});
      },
      error,
      'request callback',
      'w',
    ));

  test('request callback of a request that waits, which has no worker', () =>
    expectError(
      (server) => server.request({}, { onQueued: boom }).catch(() => {}) && undefined,
      error,
      'request callback',
    ));

  test('HTTP handler', () =>
    expectError(
      async (server) => {
        server.addHttpHandler(boom);
        await request(server.port);
      },
      error,
      'HTTP handler',
    ));

  test('WebSocket endpoint handler', () =>
    expectError(
      async (server) => {
        server.addWebSocketEndpoint('/live', async () => boom());
        await connectEndpoint(server);
      },
      error,
      'WebSocket endpoint handler',
    ));

  test('injectTrace', () =>
    expectError((server) => server.request({}).catch(() => {}) && undefined, error, 'injectTrace', undefined, {
      injectTrace: boom,
    }));

  test('authenticate', () =>
    expectError(
      async (server) => {
        await connectWorker(server, 'w');
      },
      error,
      'authenticate',
      undefined,
      { authenticate: async () => boom() },
    ));

  test('onConflict, with the worker that is there', () =>
    expectError(
      async (server) => {
        await connectWorker(server, 'w');
        await connectWorker(server, 'w');
      },
      error,
      'onConflict',
      'w',
      { onConflict: boom },
    ));

  test('options of the gateway', () =>
    expectError(
      async (server) => {
        server.addHttpHandler(openaiGateway(server, { options: boom }));
        const body = '{"model":"m"}';
        const headers = { 'Content-Type': 'application/json' };
        await request(server.port, { path: '/v1/chat/completions', method: 'POST', headers, body });
      },
      error,
      'gateway options',
    ));

  test('HTTP handler that rejects once it has answered', () =>
    expectError(
      async (server) => {
        server.addHttpHandler(async (_req, res) => {
          res.end('ok');
          boom();
        });
        await request(server.port);
      },
      error,
      'HTTP handler',
    ));

  test('authenticate of the gateway', () =>
    expectError(
      async (server) => {
        server.addHttpHandler(openaiGateway(server, { authenticate: boom }));
        await request(server.port, { path: '/v1/models' });
      },
      error,
      'authenticate',
    ));

  test('anything that can be thrown is published as it is', async () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const { server } = await startServer();
    const next = watch('worker-server:error').next();
    server.onWorkerConnected(() => {
      throw proxy;
    });
    await connectWorker(server, 'w');
    expect(Object.is((await next).error, proxy)).toBe(true);
  });
});

async function connectEndpoint(server) {
  const { WebSocket } = require('ws');
  const ws = new WebSocket(`ws://localhost:${server.port}/live`);
  onCleanup(() => ws.terminate());
  await new Promise((resolve) => ws.once('open', resolve));
}

test('two servers publish on the same channels, each with itself', async () => {
  const [one, other] = [await startServer(), await startServer()];
  const { messages: connected } = watch('worker-server:worker.connected');
  await connectWorker(one.server, 'w');
  await connectWorker(other.server, 'w');
  expect(connected.map(({ server }) => server)).toEqual([one.server, other.server]);
});

test('a subscriber that throws disturbs nothing: Node throws it again, as an uncaught exception', async () => {
  const { stdout } = await startProgram('watching/programs/throwing-subscriber.js').exit;
  expect(stdout).toBe('connected w\nuncaught: from a subscriber\n');
});

// In a process of its own: a status page, say, that an earlier file of tests left behind subscribes until it is collected.
test('nothing is made of a worker while nobody subscribes', async () => {
  const { stdout } = await startProgram('watching/programs/no-subscriber.js').exit;
  expect(stdout).toBe('request: SERVER_STOPPING\nsubscribers: false\n');
});
