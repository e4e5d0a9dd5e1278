'use strict';

// authenticate: the application judges each registration. authenticate-waiting.test.js has what happens meanwhile.

const { createServer, nextCall, startServer } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');
const { INFO_KEYS } = require('../support/infos.js');
const { NOT_AUTHENTICATED, manualHook, refused } = require('./support/authenticate.js');

test('it is asked with what is known of the worker, and nobody is there before it has said yes', async () => {
  const { authenticate, asked } = manualHook();
  const { server } = await startServer({ authenticate });
  const client = await connect(server, { path: '/ws?x=1', headers: { 'X-Tenant': 'blue' } });
  const ack = client.register('w', { authToken: 'given' });
  const { credentials, signal, resolve } = await asked();
  expect(credentials).toEqual({
    workerId: 'w',
    workerName: 'Worker w',
    capabilities: capabilitiesOf(),
    authToken: 'given',
    url: '/ws?x=1',
    headers: expect.objectContaining({ 'x-tenant': 'blue', upgrade: 'websocket' }),
    remoteAddress: expect.stringMatching(/^(127\.0\.0\.1|::1)$/),
  });
  expect(signal).toBeInstanceOf(AbortSignal);
  expect(signal.aborted).toBe(false);
  expect(server.getWorkerCount()).toBe(0);
  expect(client.frames).toEqual([]);
  resolve(true);
  expect((await ack).success).toBe(true);
  expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['w']);
  expect(signal.aborted).toBe(false);
});

test.each([
  ['true', () => true],
  ['ok: true', () => ({ ok: true })],
  ['a promise of true', async () => true],
  ['a thenable of true', () => ({ then: (resolve) => setImmediate(resolve, true) })],
  ['a promise of ok: true', async () => ({ ok: true, reason: 'of no interest' })],
])('%s is a yes', async (_, authenticate) => {
  const { server } = await startServer({ authenticate });
  expect((await connectWorker(server, 'w')).ack.success).toBe(true);
});

test.each([
  ['false', false],
  ['undefined', undefined],
  ['null', null],
  ['1', 1],
  ['a text', 'true'],
  ['an object', {}],
  ['ok: 1', { ok: 1 }],
  ['ok: "true"', { ok: 'true' }],
  ['ok: false', { ok: false }],
  ['a list', [true]],
  ['a function', () => true],
  ['a Boolean object', Object(true)],
  ['a promise of false', Promise.resolve(false)],
])('%s is a no, and looks as a wrong token', async (_, decision) => {
  const { server, log } = await startServer({ authenticate: () => decision });
  const client = await connect(server);
  await refused(client, client.register('w'));
  expect(log.contexts(NOT_AUTHENTICATED)).toEqual([{ workerId: 'w' }]);
  expect(log.lines.find(({ message }) => message === NOT_AUTHENTICATED).level).toBe('warn');
  expect(server.getWorkerCount()).toBe(0);
});

test('the reason of a no is in the log, and not on the wire', async () => {
  const { server, log } = await startServer({ authenticate: () => ({ ok: false, reason: 'expired' }) });
  const client = await connect(server);
  await refused(client, client.register('w'));
  expect(log.contexts(NOT_AUTHENTICATED)).toEqual([{ workerId: 'w', reason: 'expired' }]);
});

const REVOKED = Proxy.revocable({}, {});
REVOKED.revoke();
test.each([
  ['a throw', () => { throw new Error('no database'); }, 'no database'], // prettier-ignore
  ['a rejection', async () => { throw new Error('no database'); }, 'no database'], // prettier-ignore
  ['a rejection with a text', () => Promise.reject('just text'), 'just text'],
  ['a decision that throws', () => ({ get ok() { throw new Error('a getter'); } }), 'a getter'], // prettier-ignore
  ['a revoked proxy thrown', () => { throw REVOKED.proxy; }, expect.any(String)], // prettier-ignore
])('%s is a no', async (_, authenticate, error) => {
  const { server, log } = await startServer({ authenticate });
  const client = await connect(server);
  await refused(client, client.register('w'));
  expect(log.contexts('Error in authenticate')).toEqual([{ workerId: 'w', error }]);
  expect(log.lines.find(({ message }) => message === 'Error in authenticate').level).toBe('error');
  expect(log.contexts(NOT_AUTHENTICATED)).toEqual([]);
});

test('the static token is judged first, before the hook hears of anything, and so are the fields', async () => {
  const { authenticate, calls } = manualHook();
  const { server, log } = await startServer({ authToken: 'right', authenticate });
  const wrong = await connect(server);
  await refused(wrong, wrong.register('w', { authToken: 'wrong' }));
  const malformed = await connect(server);
  expect((await malformed.register('w', { authToken: 'right', capabilities: 5 })).error).toMatch(
    /^Invalid registration/,
  );
  expect(await malformed.closed).toEqual({ code: 4002, reason: 'Invalid registration' });
  expect(calls).toEqual([]);
  expect(log.contexts('Worker registration rejected: invalid auth token')).toEqual([{ workerId: 'w' }]);
});

describe('credentials', () => {
  const credentialsOf = async (fields, headers = {}, options = {}) => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({ authenticate, ...options });
    const client = await connect(server, { headers });
    client.register('w', fields);
    return (await asked()).credentials;
  };

  test('authToken is the token of the registration, else the Bearer token, else not there', async () => {
    const Authorization = 'Bearer upgrade';
    expect((await credentialsOf({ authToken: 'mine' }, { Authorization })).authToken).toBe('mine');
    expect((await credentialsOf({}, { Authorization })).authToken).toBe('upgrade');
    expect((await credentialsOf({ authToken: null }, { Authorization })).authToken).toBe('upgrade');
    expect(await credentialsOf({ authToken: 5 }, { Authorization })).not.toHaveProperty('authToken');
    expect(await credentialsOf({}, { Authorization: 'Basic upgrade' })).not.toHaveProperty('authToken');
    expect(await credentialsOf({})).not.toHaveProperty('authToken');
  });

  test('the id stands in for a missing name', async () => {
    expect((await credentialsOf({ workerName: undefined })).workerName).toBe('w');
  });

  test('remoteAddress is what a trusted proxy says', async () => {
    const options = { trustProxy: ['127.0.0.1', '::1'] };
    const { remoteAddress } = await credentialsOf({}, { 'X-Forwarded-For': '203.0.113.9' }, options);
    expect(remoteAddress).toBe('203.0.113.9');
  });
});

describe('the context', () => {
  const context = { tenant: 'blue', scopes: ['chat'] };

  test('stands in every WorkerInfo as its last key', async () => {
    const { server } = await startServer({ authenticate: () => ({ ok: true, context }) });
    const connected = nextCall((handler) => server.onWorkerConnected(handler));
    const updated = nextCall((handler) => server.onWorkerUpdated(handler));
    const worker = await connectWorker(server, 'w');
    const infos = [(await connected)[0], await worker.sync(), server.getWorkerInfo()[0]];
    infos.push(server.getAvailableWorker('model-a'), server.getAnyAvailableWorker());
    server.setWorkerStatus('w', 'draining');
    infos.push((await updated)[0]);
    const left = nextCall((handler) => server.onWorkerDisconnected(handler));
    await worker.close();
    infos.push((await left)[0]);
    for (const info of infos) {
      expect(Object.keys(info)).toEqual([...INFO_KEYS, 'auth']);
      expect(info.auth).toBe(context);
    }
  });

  test.each([
    ['true', true],
    ['ok without a context', { ok: true }],
    ['an undefined context', { ok: true, context: undefined }],
  ])('is not there with %s', async (_, decision) => {
    const { server } = await startServer({ authenticate: () => decision });
    await connectWorker(server, 'w');
    expect(Object.keys(server.getWorkerInfo()[0])).toEqual(INFO_KEYS);
  });

  test('may be anything else, null included', async () => {
    const { server } = await startServer({
      authenticate: ({ workerId }) => ({ ok: true, context: JSON.parse(workerId) }),
    });
    for (const value of [null, false, 0, 'text']) {
      await connectWorker(server, JSON.stringify(value));
      expect(server.getWorkerInfo().at(-1)).toHaveProperty('auth', value);
    }
  });

  test('is in the disconnected event of a replaced worker, and the new one has its own', async () => {
    let n = 0;
    const { server } = await startServer({ authenticate: () => ({ ok: true, context: (n += 1) }) });
    await connectWorker(server, 'w');
    server.trackRequest('w', 'r');
    const left = nextCall((handler) => server.onWorkerDisconnected(handler));
    await connectWorker(server, 'w');
    expect((await left)[0].auth).toBe(1);
    expect(server.getWorkerInfo()[0].auth).toBe(2);
  });

  test('is in no log line', async () => {
    const secret = 'hush-2b7e';
    const { server, log } = await startServer({ authenticate: () => ({ ok: true, context: { secret } }) });
    const worker = await connectWorker(server, 'w', { authToken: secret });
    server.trackRequest('w', 'r');
    await worker.die();
    await log.line('Worker disconnected');
    expect(JSON.stringify(log.lines)).not.toContain(secret);
  });
});

test('a worker that registers again is judged again, and leaves if it is not let in', async () => {
  const answers = [true, { ok: true, context: 'second' }, false];
  const { server } = await startServer({ authenticate: () => answers.shift() });
  const worker = await connectWorker(server, 'w');
  expect((await worker.register('w')).success).toBe(true);
  expect(server.getWorkerInfo()[0].auth).toBe('second');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await refused(worker, worker.register('w'));
  expect((await left)[0].id).toBe('w');
  expect(server.getWorkerCount()).toBe(0);
});

test('strangers reach no handler where the application judges, unless it is wanted', async () => {
  for (const [options, expected] of [
    [{}, []],
    [{ acceptUnregistered: true }, ['unknown']],
  ]) {
    const { server } = await startServer({ authenticate: () => true, ...options });
    const heard = [];
    server.onWorkerMessage('x', ({ id }) => heard.push(id));
    const client = await connect(server);
    client.send({ type: 'x' });
    await client.register('w');
    await client.sync();
    expect(heard).toEqual(expected);
    await server.stop();
  }
});

describe('failures', () => {
  const attempt = async (server, fields) => {
    const client = await connect(server).catch(() => undefined);
    if (client === undefined) return 429;
    const { success } = await client.register('w', fields);
    if (success) client.ws.terminate();
    return success ? 0 : (await client.closed).code;
  };

  test('a no of the hook counts', async () => {
    const limits = { maxAuthFailures: 2 };
    const { server, log } = await startServer({ limits, authenticate: ({ authToken }) => authToken === 'right' });
    expect(await attempt(server, { authToken: 'wrong' })).toBe(4001);
    expect(await attempt(server, { authToken: 'right' })).toBe(0);
    expect(await attempt(server, { authToken: 'wrong' })).toBe(4001);
    expect(await attempt(server, { authToken: 'right' })).toBe(429);
    expect(log.contexts('Too many failed authentications')).toHaveLength(1);
  });

  test('a decision that comes too late does not', async () => {
    const limits = { maxAuthFailures: 1, authTimeoutMs: 20 };
    const { server } = await startServer({
      limits,
      authenticate: ({ authToken }) => authToken === 'right' || new Promise(() => {}),
    });
    expect(await attempt(server, { authToken: 'slow' })).toBe(4001);
    expect(await attempt(server, { authToken: 'right' })).toBe(0);
  });
});

test('it is called without a this, and any function will do', async () => {
  const calls = [];
  const { server } = createServer({
    authenticate: function authenticate(...args) {
      calls.push([this, args.length]);
      return true;
    },
  });
  await server.start();
  await connectWorker(server, 'w');
  expect(calls).toEqual([[undefined, 2]]);
});

test.each([
  ['a text', 'hush-9'],
  ['null', null],
  ['true', true],
  ['an object', { secret: 'hush-9' }],
])('authenticate can not be %s, of which nothing is shown', (_, authenticate) => {
  expect(() => createServer({ authenticate })).toThrow(TypeError);
  expect(() => createServer({ authenticate })).toThrow(
    /^options\.authenticate must be a function, got (string|null|boolean|object)$/,
  );
});
