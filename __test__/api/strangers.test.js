'use strict';

// Sockets that have not registered: where a token is asked for nothing of them reaches a handler, unless that is wanted.

const { EventEmitter } = require('node:events');
const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { createServer, startServer } = require('../support/server.js');
const { connect, connectWorker, registrationOf } = require('../support/worker.js');

const DROPPED = 'Message from unregistered connection';
const authToken = 'token';

/** The ids of the workers whose messages of type `x` are heard: of a stranger, then of one that registers. */
async function heardFrom(options, fields = {}) {
  const { server, log } = await startServer(options);
  const heard = [];
  server.onWorkerMessage('x', ({ id }, { n }) => heard.push([id, n]));
  const client = await connect(server);
  client.send({ type: 'x', n: 1 });
  client.send({ type: 'x', n: 2 });
  await client.register('w', fields);
  client.send({ type: 'x', n: 3 });
  await client.sync();
  return { heard, dropped: log.contexts(DROPPED) };
}

const HEARD = [
  ['unknown', 1],
  ['unknown', 2],
  ['w', 3],
];
const TURNED_AWAY = [['w', 3]];

test.each([
  ['no token', {}, HEARD],
  ['no token, and acceptUnregistered: true', { acceptUnregistered: true }, HEARD],
  ['no token, and acceptUnregistered: false', { acceptUnregistered: false }, TURNED_AWAY],
  ['a token', { authToken }, TURNED_AWAY],
  ['a list of tokens', { authToken: ['other', authToken] }, TURNED_AWAY],
  ['a token, and acceptUnregistered: true', { authToken, acceptUnregistered: true }, HEARD],
  ['a token, and acceptUnregistered: undefined', { authToken, acceptUnregistered: undefined }, TURNED_AWAY],
  ['an empty token, which nobody needs to present', { authToken: '' }, HEARD],
])('with %s', async (_, options, expected) => {
  const { heard, dropped } = await heardFrom(options, options.authToken ? { authToken } : {});
  expect(heard).toEqual(expected);
  expect(dropped).toEqual(expected === HEARD ? [] : [{ type: 'x' }, { type: 'x' }]);
});

test('a heartbeat of a stranger counts for nobody and is not answered', async () => {
  const { server, log } = await startServer({ authToken, heartbeatTimeoutMs: 300, healthCheckIntervalMs: 20 });
  await connectWorker(server, 'w', { authToken });
  const stranger = await connect(server);
  const timer = setInterval(() => stranger.send({ type: 'heartbeat', workerId: 'w', timestamp: 1 }), 20);
  try {
    await log.line('Worker heartbeat timeout');
  } finally {
    clearInterval(timer);
  }
  expect(stranger.frames).toEqual([]);
  expect(log.contexts(DROPPED)).toContainEqual({ type: 'heartbeat' });
  expect(log.contexts('Heartbeat from unknown worker')).toEqual([]);
});

test('a stranger that is not heard must register in time', async () => {
  const { server, log } = await startServer({ authToken, limits: { registrationTimeoutMs: 100 } });
  server.onWorkerMessage('x', () => {});
  const stranger = await connect(server);
  stranger.send({ type: 'x' });
  expect(await stranger.closed).toEqual({ code: 4004, reason: 'Registration timeout' });
  expect(log.contexts(DROPPED)).toEqual([{ type: 'x' }]);
});

test('a stranger that is heard may stay while it speaks, and is closed when it is silent for three timeouts', async () => {
  const { server, log } = await startServer({ heartbeatTimeoutMs: 500, limits: { registrationTimeoutMs: 100 } });
  server.onWorkerMessage('x', () => {});
  const [speaking, silent] = [await connect(server), await connect(server)];
  for (const client of [speaking, silent]) client.send({ type: 'x' });
  const timer = setInterval(() => speaking.send({ type: 'x' }), 50);
  try {
    expect(await silent.closed).toEqual({ code: 4004, reason: 'Registration timeout' });
  } finally {
    clearInterval(timer);
  }
  expect(log.contexts('Unregistered connection presumed dead, closing')).toEqual([{ timeoutMs: 1_500 }]);
  expect((await speaking.register('w')).success).toBe(true);
});

test('a flood of strangers is logged in part, and the rest is counted', async () => {
  const { server, log } = await startServer({ authToken });
  const stranger = await connect(server);
  for (let n = 0; n < 2_000; n += 1) stranger.send({ type: 'x', n });
  const suppressed = () => log.contexts('Log lines suppressed').filter(({ message }) => message === DROPPED);
  const total = () => log.contexts(DROPPED).length + suppressed().reduce((sum, { count }) => sum + count, 0);
  await log.until(() => total() === 2_000);
  expect(log.contexts(DROPPED).length).toBeLessThanOrEqual(100 * (suppressed().length + 1));
});

test.each([
  ['a text', 'yes'],
  ['a number', 1],
  ['an object', {}],
])('acceptUnregistered can not be %s', (_, acceptUnregistered) => {
  expect(() => createServer({ acceptUnregistered })).toThrow(
    /^options\.acceptUnregistered must be true or false, got /,
  );
});

test("a ConnectionHandler on its own hears strangers, as in 1.0.x: its sockets are its caller's", () => {
  const handler = new ConnectionHandler(new WorkerPool(), {
    authToken,
    heartbeatTimeoutMs: 60_000,
    heartbeatIntervalMs: 15_000,
  });
  const heard = [];
  handler.onMessage('x', ({ id }) => heard.push(id));
  const ws = Object.assign(new EventEmitter(), { readyState: 1, send() {}, close() {} });
  handler.handleConnection(ws);
  ws.emit('message', '{"type":"x"}');
  ws.emit('message', JSON.stringify(registrationOf('w', { authToken })));
  ws.emit('message', '{"type":"x"}');
  expect(heard).toEqual(['unknown', 'w']);
});
