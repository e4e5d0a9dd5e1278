'use strict';

// What is logged: level, message and context, and never a token.

const http = require('node:http');
const { createServer, startServer } = require('../support/server.js');
const { connect, connectWorker, registrationOf } = require('../support/worker.js');

const POTENTIAL = { level: 'debug', message: 'New WebSocket connection from potential worker' };
const started = (server) => ({
  level: 'debug',
  message: 'HTTP + WebSocket server started',
  context: { port: server.port },
});
const registered = (workerId) => ({
  level: 'debug',
  message: 'Worker registered',
  context: { workerId, workerName: `Worker ${workerId}`, models: ['model-a'], maxConcurrentRequests: 2 },
});

test('starting and stopping', async () => {
  const { server, log } = await startServer();
  const { port } = server;
  expect(log.lines).toEqual([started(server)]);
  await server.stop();
  expect(log.lines.slice(1)).toEqual([{ level: 'debug', message: 'HTTP + WebSocket server stopped' }]);
  expect(port).toBeGreaterThan(0);
});

test('a worker that comes and goes', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  await worker.close(4321, 'done for today');
  await log.line('Worker disconnected');
  expect(log.lines).toEqual([
    started(server),
    POTENTIAL,
    registered('w'),
    {
      level: 'debug',
      message: 'Worker disconnected',
      context: { workerId: 'w', code: 4321, reason: 'done for today' },
    },
  ]);
  const contexts = log.lines.map(({ context }) => context && Object.keys(context));
  expect(contexts).toEqual([
    ['port'],
    undefined,
    ['workerId', 'workerName', 'models', 'maxConcurrentRequests'],
    ['workerId', 'code', 'reason'],
  ]);
});

test('a worker that leaves with pending requests is warned of before it is gone', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  for (const id of ['r1', 'r2', 'r3']) server.trackRequest('w', id);
  await worker.close();
  await log.line('Worker disconnected');
  expect(log.lines.slice(-2)).toEqual([
    { level: 'warn', message: 'Worker disconnected with pending requests', context: { workerId: 'w', count: 3 } },
    { level: 'debug', message: 'Worker disconnected', context: { workerId: 'w', code: 1000, reason: '' } },
  ]);
});

test('a connection that is lost without a close frame has code 1006', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  await worker.die();
  const { context } = await log.line('Worker disconnected');
  expect(context).toEqual({ workerId: 'w', code: 1006, reason: '' });
});

test('a close frame without a code has code 1005', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  worker.ws.close();
  const { context } = await log.line('Worker disconnected');
  expect(context).toEqual({ workerId: 'w', code: 1005, reason: '' });
});

test('a reason beyond ASCII is logged as it was sent', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  await worker.close(3000, 'tschüß 😀');
  expect((await log.line('Worker disconnected')).context).toEqual({ workerId: 'w', code: 3000, reason: 'tschüß 😀' });
});

test('a socket that never registered', async () => {
  const { server, log } = await startServer();
  const client = await connect(server);
  await client.close(1000, 'bye');
  await log.line('Unregistered WebSocket connection closed');
  expect(log.lines).toEqual([
    started(server),
    POTENTIAL,
    {
      level: 'debug',
      message: 'Unregistered WebSocket connection closed',
      context: { code: 1000, reason: 'bye' },
    },
  ]);
});

test('a replacement without pending requests', async () => {
  const { server, log } = await startServer();
  const old = await connectWorker(server, 'w');
  await connectWorker(server, 'w');
  await old.closed;
  await log.line('Unregistered WebSocket connection closed');
  expect(log.lines.slice(3)).toEqual([
    POTENTIAL,
    { level: 'debug', message: 'Replacing existing worker connection', context: { workerId: 'w' } },
    registered('w'),
    {
      level: 'debug',
      message: 'Unregistered WebSocket connection closed',
      context: { code: 4003, reason: 'Replaced by new connection' },
    },
  ]);
});

test('a replacement with pending requests', async () => {
  const { server, log } = await startServer();
  await connectWorker(server, 'w');
  server.trackRequest('w', 'r1');
  await connectWorker(server, 'w');
  expect(log.lines.slice(4, 7)).toEqual([
    { level: 'debug', message: 'Replacing existing worker connection', context: { workerId: 'w' } },
    { level: 'warn', message: 'Replaced worker had pending requests', context: { workerId: 'w', count: 1 } },
    registered('w'),
  ]);
});

test('a wrong token', async () => {
  const { server, log } = await startServer({ authToken: 'right-secret' });
  const client = await connect(server);
  client.send(registrationOf('w', { authToken: 'wrong-secret' }));
  await client.closed;
  await log.line('Unregistered WebSocket connection closed');
  expect(log.lines.slice(2)).toEqual([
    {
      level: 'warn',
      message: 'Worker registration rejected: invalid auth token',
      context: { workerId: 'w' },
    },
    {
      level: 'debug',
      message: 'Unregistered WebSocket connection closed',
      context: { code: 4001, reason: 'Authentication failed' },
    },
  ]);
});

test('a protocol error on the socket of a worker is an error, and its close frame says why', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  // A text frame with a byte that is no UTF-8.
  worker.ws._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
  expect((await worker.closed).code).toBe(1007);
  const { level, context } = await log.line('Worker WebSocket error');
  expect(level).toBe('error');
  expect(Object.keys(context)).toEqual(['error']);
  expect(typeof context.error).toBe('string');
  await log.line('Worker disconnected');
});

test.each([
  ['an Error', () => Promise.reject(new Error('broken')), 'broken'],
  [
    'a text, thrown at once',
    () => {
      throw 'just text';
    },
    'just text',
  ],
])('an HTTP handler that rejects with %s', async (_, handler, error) => {
  const { server, log } = await startServer();
  server.addHttpHandler(handler);
  const status = await new Promise((resolve, reject) => {
    http
      .get({ port: server.port, path: '/a/b?c=d', agent: false }, (res) =>
        res.resume().on('end', () => resolve(res.statusCode)),
      )
      .once('error', reject);
  });
  expect(status).toBe(500);
  expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([
    { level: 'error', message: 'HTTP handler error', context: { error, url: '/a/b?c=d' } },
  ]);
});

test('without a logger nothing is logged and everything works', async () => {
  const spies = ['debug', 'log', 'info', 'warn', 'error'].map((name) => jest.spyOn(console, name));
  const { server } = createServer({ logger: undefined });
  await server.start();
  server.onWorkerConnected(() => {
    throw new Error('nobody hears');
  });
  const worker = await connectWorker(server, 'w');
  worker.sendText('no json');
  worker.send({ type: 'unhandled' });
  await worker.sync();
  for (const spy of spies) {
    expect(spy).not.toHaveBeenCalled();
    spy.mockRestore();
  }
});

test('a logger is called as a method of its object', async () => {
  class Logger {
    lines = [];

    debug(message) {
      this.lines.push(message);
    }

    info() {}

    warn() {}

    error() {}
  }
  const logger = new Logger();
  const { server } = createServer({ logger });
  await server.start();
  await connectWorker(server, 'w');
  expect(logger.lines).toContain('Worker registered');
});

test('no line ever holds a token, whatever goes wrong', async () => {
  const secret = 'tOkEn-7f3a9c';
  const { server, log } = await startServer({ authToken: secret, heartbeatTimeoutMs: 60, healthCheckIntervalMs: 15 });
  const attempts = [
    registrationOf('right', { authToken: secret }),
    registrationOf('wrong', { authToken: `${secret}-wrong` }),
    registrationOf('broken', { authToken: secret, capabilities: null }),
    registrationOf(5, { authToken: secret }),
    registrationOf(undefined, { authToken: [secret] }),
    registrationOf('again', { authToken: secret }),
  ];
  for (const attempt of attempts) {
    const client = await connect(server);
    client.send(attempt);
    await client.next();
    client.sendText(`{"type":"worker_registration","authToken":"${secret}"`);
    client.sendText(`"${secret}"`);
    client.send({ authToken: secret });
    client.send({ type: 'unhandled', authToken: secret });
    client.send({ type: 'heartbeat', authToken: secret });
    client.send({ ...attempt, authToken: secret });
    client.send({ ...attempt, authToken: secret, capabilities: { models: [secret] } });
    await client.closed;
  }
  await server.stop();
  expect(log.lines.length).toBeGreaterThan(20);
  expect(JSON.stringify(log.lines)).not.toContain(secret);
});
