'use strict';

// setAuthToken: other tokens while the server runs.

const { createServer, startServer, until } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');
const { warningsOfTheCode } = require('../support/warnings.js');

async function lets(server, authToken, id = 'w') {
  const client = await connect(server);
  const { success } = await client.register(id, authToken === undefined ? {} : { authToken });
  client.ws.terminate();
  return success;
}

test('the new token lets workers in and the old one no longer does, from the call on', async () => {
  const { server } = await startServer({ authToken: 'old' });
  server.setAuthToken('new');
  expect(await lets(server, 'old')).toBe(false);
  expect(await lets(server, 'new')).toBe(true);
  server.setAuthToken(['new', 'newer']);
  expect(await lets(server, 'new')).toBe(true);
  expect(await lets(server, 'newer')).toBe(true);
});

test('connected workers stay', async () => {
  const { server } = await startServer({ authToken: 'old' });
  const worker = await connectWorker(server, 'w', { authToken: 'old' });
  server.setAuthToken([]);
  expect((await worker.heartbeat()).type).toBe('heartbeat_ack');
  expect((await worker.sync()).id).toBe('w');
});

test('null asks for no token, and an empty list lets nobody in', async () => {
  const { server } = await startServer({ authToken: 'old' });
  server.setAuthToken(null);
  expect(await lets(server, undefined)).toBe(true);
  expect(await lets(server, 'anything')).toBe(true);
  server.setAuthToken([]);
  for (const given of [undefined, '', 'old', 'anything'])
    expect([given, await lets(server, given)]).toEqual([given, false]);
});

test('it counts before the start, and stays over a restart', async () => {
  const { server } = createServer({ authToken: 'old' });
  server.setAuthToken('new');
  await server.start();
  expect(await lets(server, 'old')).toBe(false);
  expect(await lets(server, 'new')).toBe(true);
  await server.stop();
  await server.start();
  expect(await lets(server, 'old')).toBe(false);
  expect(await lets(server, 'new')).toBe(true);
});

test('it counts for a start that is under way', async () => {
  const { server } = createServer({ authToken: 'old', host: 'localhost' });
  const started = server.start();
  server.setAuthToken('new');
  await started;
  expect(await lets(server, 'old')).toBe(false);
  expect(await lets(server, 'new')).toBe(true);
});

test('where a token comes to be asked for strangers are heard no more, and where none is any longer they are', async () => {
  const { server, log } = await startServer({ limits: { registrationTimeoutMs: 2_000 } });
  const heard = [];
  server.onWorkerMessage('x', (_, { n }) => heard.push(n));
  const stranger = await connect(server);
  stranger.send({ type: 'x', n: 1 });
  await until(() => heard.length === 1);
  server.setAuthToken('token');
  stranger.send({ type: 'x', n: 2 });
  await log.line('Message from unregistered connection');
  // It need not have registered before, and must now.
  expect(await stranger.closed).toEqual({ code: 4004, reason: 'Registration timeout' });
  expect(log.contexts('Message from unregistered connection')).toEqual([{ type: 'x' }]);
  server.setAuthToken(null);
  const other = await connect(server);
  other.send({ type: 'x', n: 3 });
  await until(() => heard.length === 2);
  expect(heard).toEqual([1, 3]);
});

test('acceptUnregistered: true holds whatever the token', async () => {
  const { server } = await startServer({ acceptUnregistered: true });
  const heard = [];
  server.onWorkerMessage('x', () => heard.push('x'));
  server.setAuthToken('token');
  const stranger = await connect(server);
  stranger.send({ type: 'x' });
  await until(() => heard.length === 1);
});

test('an empty text is as the empty option: who presents none passes, and a process warning says so', async () => {
  const warnings = warningsOfTheCode();
  const { server } = await startServer({ authToken: 'old' });
  server.setAuthToken('');
  expect(warnings).toEqual([['WORKER_SERVER_EMPTY_TOKEN', expect.any(String)]]);
  expect(await lets(server, undefined)).toBe(true);
  expect(await lets(server, 'old')).toBe(false);
});

const secret = 'hush-51c9';
test.each([
  ['undefined', undefined],
  ['a number', 5],
  ['false', false],
  ['an object', { secret, [secret]: secret }],
  ['a list with an empty text', [secret, '']],
  ['a list with a number', [secret, 5]],
  ['a list with undefined', [secret, undefined]],
  ['a Set', new Set([secret])],
  ['a Buffer', Buffer.from(secret)],
  ['a symbol', Symbol(secret)],
])('%s is a TypeError that shows nothing of it, and the tokens stay', async (_, token) => {
  const { server } = await startServer({ authToken: 'old' });
  let thrown;
  try {
    server.setAuthToken(token);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect(thrown.message).toMatch(/^token must be a string, a list of/);
  expect(thrown.stack).not.toContain(secret);
  expect(await lets(server, 'old')).toBe(true);
  expect(await lets(server, undefined)).toBe(false);
});
