'use strict';

// Which tokens let a worker in, when there are several, and which values make sense as tokens.

const { EventEmitter } = require('node:events');
const { ConnectionHandler, WorkerPool, WorkerServer } = require('../support/package.js');
const { startServer } = require('../support/server.js');
const { connect, connectWorker, registrationOf } = require('../support/worker.js');

const TIMES = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

/** Whether a server with these tokens lets a worker in that presents `given`. */
async function lets(server, given) {
  const client = await connect(server);
  const { success } = await client.register('w', given === undefined ? {} : { authToken: given });
  if (!success) expect(await client.closed).toEqual({ code: 4001, reason: 'Authentication failed' });
  else await client.close();
  return success;
}

/** The same of a handler on its own. */
function handlerLets(authToken, given) {
  const handler = new ConnectionHandler(new WorkerPool(), { ...TIMES, authToken });
  const sent = [];
  const ws = Object.assign(new EventEmitter(), {
    readyState: 1,
    send: (text) => sent.push(JSON.parse(text)),
    close() {},
  });
  handler.handleConnection(ws);
  ws.emit('message', JSON.stringify(registrationOf('w', given === undefined ? {} : { authToken: given })));
  expect(sent).toHaveLength(1);
  return sent[0].success;
}

const LIST = ['old-token', 'new-token', 'ünïcödé 🦀'];
const CASES = [
  ...LIST.map((token) => [token, true]),
  ['old-toke', false],
  ['old-token ', false],
  ['old-token,new-token', false],
  ['', false],
  [undefined, false],
  [null, false],
  [LIST, false],
  [0, false],
];

test('any token of a list lets a worker in, and nothing else does', async () => {
  const { server } = await startServer({ authToken: LIST });
  for (const [given, expected] of CASES) expect([given, await lets(server, given)]).toEqual([given, expected]);
});

test('a ConnectionHandler takes a list, too', () => {
  for (const [given, expected] of CASES) expect([given, handlerLets(LIST, given)]).toEqual([given, expected]);
});

test('a list of one is as its token', async () => {
  const { server } = await startServer({ authToken: ['only'] });
  expect(await lets(server, 'only')).toBe(true);
  expect(await lets(server, 'other')).toBe(false);
});

test('the list is read by the constructor: what is done to it later changes nothing', async () => {
  const authToken = ['first'];
  const { server } = await startServer({ authToken });
  authToken[0] = 'second';
  authToken.push('third');
  expect(await lets(server, 'first')).toBe(true);
  expect(await lets(server, 'second')).toBe(false);
  expect(await lets(server, 'third')).toBe(false);
});

test('a rotation: a server with both tokens, then one with the new alone, keeps the workers that changed in time', async () => {
  const before = await startServer({ authToken: ['new', 'old'] });
  const { port } = before.server;
  await connectWorker(before.server, 'slow', { authToken: 'old' });
  await connectWorker(before.server, 'quick', { authToken: 'new' });
  await before.server.stop();
  const after = await startServer({ port, authToken: 'new' });
  expect(await lets(after.server, 'old')).toBe(false);
  expect(await lets(after.server, 'new')).toBe(true);
});

test('tokens that are no well-formed Unicode are compared as they cross the wire', async () => {
  const { server } = await startServer({ authToken: ['plain', 'lone \ud800'] });
  expect(await lets(server, 'lone \ufffd')).toBe(true);
});

describe.each([
  ['WorkerServer', 'options.authToken', (authToken) => new WorkerServer({ port: 0, authToken })],
  [
    'ConnectionHandler',
    'config.authToken',
    (authToken) => new ConnectionHandler(new WorkerPool(), { ...TIMES, authToken }),
  ],
])('%s', (_, name, make) => {
  const secret = 'hush-7f3a9c';
  const holes = [secret];
  holes.length = 2;
  test.each([
    ['an empty list', []],
    ['a list with a number', [secret, 5]],
    ['a list with an empty text', [secret, '']],
    ['a list with null', [null, secret]],
    ['a list with undefined', [secret, undefined]],
    ['a list with a hole', holes],
    ['a list in a list', [[secret]]],
    ['a String object', Object(secret)],
    ['a Set', new Set([secret])],
    ['an object', { secret, [secret]: secret }],
    ['a function', Object.assign(() => {}, { secret })],
    ['a symbol', Symbol(secret)],
    ['null', null],
    ['a number', 5],
    ['false', false],
  ])('%s for authToken is a TypeError that names the option and shows nothing of it', (__, authToken) => {
    let thrown;
    try {
      make(authToken);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown.message.startsWith(`${name} must be a string, or a list of`)).toBe(true);
    expect(thrown.stack).not.toContain(secret);
  });

  test.each([
    ['no token', undefined],
    ['an empty one', ''],
    ['a text', 'x'],
    ['a list', ['x', 'y']],
  ])('%s is right', (__, authToken) => {
    expect(() => make(authToken)).not.toThrow();
  });
});
