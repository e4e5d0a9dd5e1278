'use strict';

// Every limit at its edges: what the constructor takes, what it refuses, and that whatever it takes can be started.

const {
  constants: { MAX_STRING_LENGTH },
} = require('node:buffer');
const { WorkerServer } = require('../support/package');
const { createServer, startServer, until } = require('../support/server');
const { answering, request } = require('../support/http');
const { openSocket, openWorker } = require('../support/socket');
const { RawWebSocket, rawConnect, registration } = require('../support/raw');

const COUNTS = [
  'maxMessageBytes',
  'maxHeadBytes',
  'maxConnections',
  'maxUnregistered',
  'maxQueuedBytes',
  'maxUnhandledBytes',
  'maxUnhandledBytesTotal',
];
const TIMES = ['headTimeoutMs', 'registrationTimeoutMs', 'stallTimeoutMs', 'stopGraceMs'];
const OTHER_TIMES = ['heartbeatTimeoutMs', 'healthCheckIntervalMs', 'heartbeatIntervalMs', 'pingIntervalMs'];

const NEVER = [
  -1,
  -0.5,
  NaN,
  -Infinity,
  '10',
  '',
  {},
  [],
  [10],
  true,
  false,
  10n,
  Symbol('10'),
  () => 10,
  new Date(),
  Object(10),
];
const optionsWith = (name, value) =>
  OTHER_TIMES.includes(name) ? { port: 0, [name]: value } : { port: 0, limits: { [name]: value } };

function expectRefusal(name, value) {
  let thrown;
  try {
    new WorkerServer(optionsWith(name, value));
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect(thrown.message).toContain(`${name} must be `);
}

describe.each(COUNTS)('limits.%s', (name) => {
  test('is a whole number from 1', () => {
    for (const value of [...NEVER, 0, -0, 0.5, 1.5, Number.MIN_VALUE, Infinity]) expectRefusal(name, value);
  });

  const most = name === 'maxMessageBytes' ? MAX_STRING_LENGTH : Number.MAX_VALUE;
  test.each(
    [1, 2, 3, 2047, 65_537, 2 ** 29 - 25, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, most].filter(
      (value) => value <= most,
    ),
  )('can be %p: the server starts, and stops', async (value) => {
    const { server } = await startServer(optionsWith(name, value));
    expect(server.port).toBeGreaterThan(0);
    await server.stop();
  });
});

test('limits.maxMessageBytes is at most what V8 can hold as one string', () => {
  for (const value of [MAX_STRING_LENGTH + 1, 2 ** 30, 2 ** 53]) expectRefusal('maxMessageBytes', value);
});

describe.each([...TIMES, ...OTHER_TIMES])('%s', (name) => {
  const infinite = name === 'heartbeatIntervalMs' ? [] : [Infinity];
  test('is a number of milliseconds from 0', () => {
    for (const value of NEVER) expectRefusal(name, value);
    if (infinite.length === 0) expectRefusal(name, Infinity);
  });

  test.each([
    0,
    -0,
    Number.MIN_VALUE,
    0.4,
    1,
    1.5,
    2001,
    2001.7,
    60_000,
    300_001,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 + 1,
    2 ** 53,
    Number.MAX_VALUE,
    ...infinite,
  ])('can be %p: the server starts, and stops', async (value) => {
    const { server } = await startServer(optionsWith(name, value));
    // It may be hung up on at once, if the time is short.
    await rawConnect(server.port);
    await server.stop();
  });
});

describe.each([
  ['none', 'long', Infinity],
  ['the smallest', 'short', 0.1],
])('with %s of each time', (_, __, time) => {
  test('the server starts and stops', async () => {
    const limits = Object.fromEntries(TIMES.map((name) => [name, time]));
    const { server } = await startServer({
      limits,
      heartbeatTimeoutMs: time,
      healthCheckIntervalMs: time,
      pingIntervalMs: time,
    });
    await server.stop();
    await server.start();
    await server.stop();
  });
});

test('with each size and count at 1 the server refuses what is too large, and starts and stops', async () => {
  const { server, port } = await startServer({ limits: Object.fromEntries(COUNTS.map((name) => [name, 1])) });
  const raw = await rawConnect(port);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 431 /);
  await server.stop();
});

test.each([
  ['maxUnhandledBytes', { maxUnhandledBytes: 1 }],
  ['maxUnhandledBytesTotal', { maxUnhandledBytesTotal: 1 }],
  ['maxQueuedBytes', { maxQueuedBytes: 1 }],
  ['maxConnections', { maxConnections: 1 }],
  ['maxUnregistered', { maxUnregistered: 1 }],
])('with a %s of 1 a worker is served, one message after the other', async (_, limits) => {
  const { server, port } = await startServer({ limits });
  const got = [];
  server.onWorkerMessage('count', (worker, { n }) => got.push(n));
  const worker = await openWorker(port, 'w');
  expect(worker.ack.success).toBe(true);
  for (let n = 0; n < 20; n += 1) worker.send({ type: 'count', n });
  await until(() => got.length === 20);
  expect(got).toEqual(Array.from({ length: 20 }, (__, n) => n));
  expect(server.send('w', { type: 'work' })).toBe(true);
  expect(await worker.nextJson()).toEqual({ type: 'work' });
});

/** Lets other peers come and be served meanwhile, which is more than what 0 ms or the next tick takes. */
async function serveOthers(port) {
  for (let n = 0; n < 10; n += 1) {
    const other = await openWorker(port, `other ${n}`);
    other.ws.close();
    await other.closed;
  }
}

describe.each([0, Infinity])('a time limit of %p is none', (none) => {
  test('headTimeoutMs: a head is waited for, on a new connection and on one that is kept alive', async () => {
    const { port } = await startServer({ limits: { headTimeoutMs: none } }, (server) =>
      server.addHttpHandler(answering('fine')),
    );
    const raw = await rawConnect(port);
    for (let n = 0; n < 2; n += 1) {
      raw.received = Buffer.alloc(0);
      raw.write('GET / HTTP/1.1\r\n');
      await serveOthers(port);
      raw.write('Host: h\r\n\r\n');
      expect(await raw.text(/fine$/)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  test('registrationTimeoutMs: a registration is waited for', async () => {
    const { port } = await startServer({ limits: { registrationTimeoutMs: none } });
    const late = await openSocket(port);
    await serveOthers(port);
    late.send(registration('late'));
    expect((await late.nextJson()).success).toBe(true);
  });

  test('stallTimeoutMs: a worker that takes nothing is waited for', async () => {
    const { server, port } = await startServer({ limits: { stallTimeoutMs: none, maxQueuedBytes: 1 } });
    const raw = await RawWebSocket.register(port, 'deaf');
    raw.socket.pause();
    const work = { type: 'work', pad: 'x'.repeat(65_536) };
    let sent = 0;
    // Until even the system's own buffers have taken what they can, and the others' time has passed since.
    for (let refused = 0; refused < 3;) {
      if (server.send('deaf', work)) {
        sent += 1;
        refused = 0;
      } else {
        refused += 1;
        await serveOthers(port);
      }
    }
    raw.socket.resume();
    for (let n = 0; n < sent; n += 1) expect(JSON.parse((await raw.frame()).text)).toEqual(work);
    expect(server.send('deaf', work)).toBe(true);
  });

  test('pingIntervalMs: no ping is sent', async () => {
    const { port } = await startServer({ pingIntervalMs: none, heartbeatTimeoutMs: 0 });
    const raw = await RawWebSocket.register(port, 'w');
    await serveOthers(port);
    raw.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
    expect(raw.received).toHaveLength(0);
  });
});

test('a stopGraceMs of 0 cuts at once those that do not answer', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 0 } }, (made) => made.addHttpHandler(() => true));
  const deaf = await RawWebSocket.register(port, 'deaf');
  const unanswered = await rawConnect(port);
  unanswered.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await serveOthers(port);
  await server.stop();
  await deaf.end();
  await unanswered.end();
  expect(server.getWorkerCount()).toBe(0);
});

test('a heartbeat timeout of Infinity ends no worker, and heartbeats are answered with the end of time', async () => {
  const { server, port } = await startServer({ heartbeatTimeoutMs: Infinity, healthCheckIntervalMs: 1 });
  const worker = await openWorker(port, 'w');
  await serveOthers(port);
  worker.send({ type: 'heartbeat', workerId: 'w', timestamp: 't' });
  const { nextHeartbeatDeadline } = await worker.nextJson();
  expect(new Date(nextHeartbeatDeadline).getTime()).toBeGreaterThan(Date.now() + 50 * 365 * 86_400_000);
  expect(server.getWorkerInfo()[0].status).toBe('available');
});

test('a heartbeat timeout of 0 is exceeded by any silence: the worker is gone at the next look', async () => {
  const { server, port } = await startServer({ heartbeatTimeoutMs: 0, healthCheckIntervalMs: 0 });
  const worker = await openWorker(port, 'w');
  expect(worker.ack.success).toBe(true);
  expect(await worker.closed).toEqual({ code: 4003, reason: 'Heartbeat timeout' });
  await until(() => server.getWorkerCount() === 0);
});

test('a heartbeat interval is sent as it is', async () => {
  for (const heartbeatIntervalMs of [0, -0, 0.5, 1e21, Number.MAX_VALUE]) {
    const { server, port } = await startServer({ heartbeatIntervalMs });
    expect((await openWorker(port, 'w')).ack.heartbeatIntervalMs).toBe(heartbeatIntervalMs + 0);
    await server.stop();
  }
});

test('with an odd headTimeoutMs requests are answered, and the server can be started again', async () => {
  const { server, port } = await startServer({ limits: { headTimeoutMs: 2001 } }, (made) =>
    made.addHttpHandler(answering('fine')),
  );
  expect((await request(port)).text).toBe('fine');
  await server.stop();
  // The same server again: nothing of the first start was left.
  await server.start();
  expect((await request(server.port)).text).toBe('fine');
});

test.each([[5], ['much'], [true], [[]], [[1]], [() => {}]])('limits must be an object, which %p is not', (limits) => {
  expect(() => createServer({ limits })).toThrow(TypeError);
  expect(() => createServer({ limits })).toThrow(/^options\.limits must be an object/);
});
