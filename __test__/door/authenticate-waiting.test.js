'use strict';

// authenticate, while a decision is awaited: what the worker sends, and what ends the wait.

const { once } = require('node:events');
const { startServer, until } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');
const { NOT_AUTHENTICATED, manualHook, refused } = require('./support/authenticate.js');

const TIMED_OUT = 'Worker registration rejected: authentication timed out';

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
    // What it had sent by the time of the decision is its own. What reached the server later comes from a connection without a worker.
    const own = heard.filter(([sessionId]) => sessionId === oldSession).length;
    expect(own).toBeGreaterThan(0);
    expect(heard).toEqual(heard.map((_, n) => [n < own ? oldSession : '', n]));
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
    ['is cut behind more than is read', (client) => client.ws.terminate(), 40],
    ['is reset behind more than is read', (client) => client.ws._socket.resetAndDestroy(), 40],
    ['is half closed behind more than is read', (client) => client.ws._socket.end(), 40],
  ])('when the socket %s', async (_, end, behind = 0) => {
    const { server, log, client, aborted, connected, resolve, signal } = await waiting();
    for (let n = 0; n < behind; n += 1) client.send({ type: 'behind', text: 'x'.repeat(1_000) });
    await until(() => client.ws.bufferedAmount === 0);
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

test.each([0, Infinity, 2 ** 31, 2 ** 45])(
  'with an authTimeoutMs of %p there is no such limit',
  async (authTimeoutMs) => {
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
  },
);

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
