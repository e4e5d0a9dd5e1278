'use strict';

// authenticate: the application judges each registration.

const { once } = require('node:events');
const { createServer, nextCall, startServer, until } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');
const { capabilitiesOf } = require('../support/worker.js');
const { INFO_KEYS } = require('../support/infos.js');

const WRONG = { type: 'worker_registration_ack', success: false, error: 'Invalid authentication token' };
const NOT_AUTHENTICATED = 'Worker registration rejected: not authenticated';
const TIMED_OUT = 'Worker registration rejected: authentication timed out';

/** A hook whose decisions are made by the test: `asked` resolves with the n-th call. */
function manualHook() {
  const calls = [];
  const authenticate = (credentials, signal) =>
    new Promise((resolve, reject) => calls.push({ credentials, signal, resolve, reject }));
  const asked = async (n = 0) => {
    await until(() => calls.length > n);
    return calls[n];
  };
  return { authenticate, asked, calls };
}

async function refused(client, ack) {
  expect(await ack).toEqual(WRONG);
  expect(await client.closed).toEqual({ code: 4001, reason: 'Authentication failed' });
}

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

describe('while it is being judged', () => {
  test('what the peer sends stays unread, and comes in order when it is let in', async () => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({ authenticate });
    const heard = [];
    server.onWorkerConnected(({ id }) => heard.push(['connected', id]));
    server.onWorkerMessage('x', ({ id }, { n }) => heard.push([id, n]));
    const client = await connect(server);
    const ack = client.register('w');
    for (let n = 0; n < 50; n += 1) client.send({ type: 'x', n });
    const { resolve } = await asked();
    await until(() => client.ws.bufferedAmount === 0);
    expect(heard).toEqual([]);
    resolve(true);
    expect((await ack).success).toBe(true);
    await client.sync();
    expect(heard).toEqual([['connected', 'w'], ...Array.from({ length: 50 }, (_, n) => ['w', n])]);
  });

  test('of one that is not let in nothing reaches a handler', async () => {
    const { authenticate, asked } = manualHook();
    const { server, log } = await startServer({ authenticate, acceptUnregistered: true });
    const heard = [];
    server.onWorkerMessage('x', ({ id }) => heard.push(id));
    const client = await connect(server);
    const ack = client.register('w');
    client.send({ type: 'x' });
    (await asked()).resolve(false);
    await refused(client, ack);
    await log.line('Unregistered WebSocket connection closed');
    expect(heard).toEqual([]);
  });

  test('pings are answered, also behind a message', async () => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({ authenticate });
    const client = await connect(server);
    const ack = client.register('w');
    await asked();
    client.ws.ping('a');
    expect(String((await once(client.ws, 'pong'))[0])).toBe('a');
    client.send({ type: 'sync', n: -1 });
    client.ws.ping('b');
    expect(String((await once(client.ws, 'pong'))[0])).toBe('b');
    (await asked()).resolve(true);
    expect((await ack).success).toBe(true);
  });

  test('pings that came together with the registration are answered', async () => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({ authenticate });
    const client = await connect(server);
    client.ws._socket.cork();
    client.register('w');
    client.ws.ping('together');
    client.ws._socket.uncork();
    expect(String((await once(client.ws, 'pong'))[0])).toBe('together');
    (await asked()).resolve(true);
  });

  test('registrationTimeoutMs is over', async () => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({ authenticate, limits: { registrationTimeoutMs: 50 } });
    const client = await connect(server);
    const ack = client.register('w');
    const { resolve } = await asked();
    // Longer than the timeout, by the server's own clock: a stranger that says nothing is closed meanwhile.
    const stranger = await connect(server);
    expect((await stranger.closed).code).toBe(4004);
    resolve(true);
    expect((await ack).success).toBe(true);
  });

  test('no other worker is delayed', async () => {
    const { authenticate, asked } = manualHook();
    const { server } = await startServer({
      authenticate: (credentials, signal) => credentials.workerId !== 'slow' || authenticate(credentials, signal),
    });
    const slow = await connect(server);
    const ack = slow.register('slow');
    const { resolve } = await asked();
    const quick = await connectWorker(server, 'quick');
    expect((await quick.sync()).id).toBe('quick');
    resolve(true);
    expect((await ack).success).toBe(true);
  });

  test('who is decided later joins later', async () => {
    const { authenticate, asked, calls } = manualHook();
    const { server } = await startServer({ authenticate });
    const clients = [];
    for (const id of ['a', 'b', 'c']) {
      const client = await connect(server);
      clients.push(client.register(id));
      await asked(clients.length - 1);
    }
    for (const n of [2, 0, 1]) calls[n].resolve(true);
    await Promise.all(clients);
    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['c', 'a', 'b']);
  });

  test('the worker that is replaced is heard to its last message', async () => {
    const { authenticate, asked } = manualHook();
    let first = true;
    const { server } = await startServer({
      authenticate: (credentials, signal) => {
        if (!first) return authenticate(credentials, signal);
        first = false;
        return true;
      },
    });
    const heard = [];
    server.onWorkerMessage('x', ({ sessionId }, { n }) => heard.push([sessionId, n]));
    const old = await connectWorker(server, 'w');
    const oldSession = server.getWorkerInfo()[0].sessionId;
    const client = await connect(server);
    const ack = client.register('w');
    const { resolve } = await asked();
    for (let n = 0; n < 300; n += 1) old.send({ type: 'x', n });
    await until(() => heard.length > 0);
    resolve(true);
    expect((await ack).success).toBe(true);
    expect(await old.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
    expect(heard).toEqual(heard.map((_, n) => [oldSession, n]));
  });
});

describe('the signal aborts, and what is decided then counts for nothing', () => {
  const waiting = async (options = {}) => {
    const { authenticate, asked } = manualHook();
    const { server, log } = await startServer({ authenticate, ...options });
    const connected = jest.fn();
    server.onWorkerConnected(connected);
    const client = await connect(server);
    const ack = client.register('w');
    const call = await asked();
    const aborted = once(call.signal, 'abort');
    return { server, log, client, ack, aborted, connected, ...call };
  };
  /** Two turns of the event loop: what would join has joined. */
  const settled = async () => {
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  test.each([
    ['closes', (client) => client.ws.close()],
    ['is cut', (client) => client.ws.terminate()],
  ])('when the socket %s', async (_, end) => {
    const { server, log, client, aborted, connected, resolve, signal } = await waiting();
    end(client);
    await aborted;
    expect(signal.reason.name).toBe('AbortError');
    resolve(true);
    await log.line('Unregistered WebSocket connection closed');
    await settled();
    expect(connected).not.toHaveBeenCalled();
    expect(server.getWorkerCount()).toBe(0);
    expect(log.contexts(NOT_AUTHENTICATED)).toEqual([]);
  });

  test('when the time is up', async () => {
    const { server, log, client, ack, aborted, connected, resolve, signal } = await waiting({
      limits: { authTimeoutMs: 50 },
    });
    await refused(client, ack);
    await aborted;
    expect(signal.reason.name).toBe('TimeoutError');
    expect(log.contexts(TIMED_OUT)).toEqual([{ workerId: 'w' }]);
    expect(log.lines.find(({ message }) => message === TIMED_OUT).level).toBe('warn');
    resolve(true);
    await settled();
    expect(connected).not.toHaveBeenCalled();
    expect(server.getWorkerCount()).toBe(0);
  });

  test('at stop()', async () => {
    const { server, client, aborted, connected, resolve } = await waiting({ limits: { authTimeoutMs: Infinity } });
    const stopped = server.stop();
    await aborted;
    resolve(true);
    await stopped;
    expect((await client.closed).code).toBe(1001);
    expect(connected).not.toHaveBeenCalled();
    await server.start();
    expect(server.getWorkerCount()).toBe(0);
  });

  test('a hook that ends because it was told to is not logged, and one that fails of something else is', async () => {
    const told = await waiting();
    told.client.ws.terminate();
    await told.aborted;
    told.reject(told.signal.reason);
    await settled();
    expect(told.log.contexts('Error in authenticate')).toEqual([]);
    const failing = await waiting();
    failing.client.ws.terminate();
    await failing.aborted;
    failing.reject(new Error('no database'));
    await failing.log.line('Error in authenticate');
    expect(failing.log.contexts('Error in authenticate')).toEqual([{ workerId: 'w', error: 'no database' }]);
  });
});

test.each([0, Infinity])('with an authTimeoutMs of %p there is no such limit', async (authTimeoutMs) => {
  const { authenticate, asked } = manualHook();
  const { server } = await startServer({ authenticate, limits: { authTimeoutMs, registrationTimeoutMs: 40 } });
  const client = await connect(server);
  const ack = client.register('w');
  const { resolve, signal } = await asked();
  const stranger = await connect(server);
  await stranger.closed;
  expect(signal.aborted).toBe(false);
  resolve(true);
  expect((await ack).success).toBe(true);
});

test('an answer that had come while the thread was busy counts, though the time is up', async () => {
  let release;
  const { server } = await startServer({
    limits: { authTimeoutMs: 30 },
    authenticate: () =>
      new Promise((resolve) => {
        release = () => resolve(true);
      }),
  });
  const client = await connect(server);
  const ack = client.register('w');
  await until(() => release !== undefined);
  // A timer is due, and the answer with it, in one turn of the event loop.
  setImmediate(release);
  const until100 = performance.now() + 100;
  while (performance.now() < until100);
  expect((await ack).success).toBe(true);
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

test('I5: thousands of registrations wait for slow decisions at once, and are all let in', async () => {
  const { authenticate, calls } = manualHook();
  const { server } = await startServer({ authenticate, limits: { authTimeoutMs: 0, registrationTimeoutMs: 0 } });
  const COUNT = 500;
  const acks = [];
  for (let i = 0; i < COUNT; i += 1) acks.push((await connect(server)).register(`w${i}`));
  await until(() => calls.length === COUNT);
  expect(server.getWorkerCount()).toBe(0);
  for (const { resolve } of calls) resolve(true);
  expect((await Promise.all(acks)).every(({ success }) => success)).toBe(true);
  expect(server.getWorkerCount()).toBe(COUNT);
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
    /^authenticate must be a function, got (string|null|boolean|object)$/,
  );
});
