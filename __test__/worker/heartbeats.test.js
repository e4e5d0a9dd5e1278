'use strict';

const { startServer, nextCall, until } = require('../support/server.js');
const { startProgram } = require('../support/program.js');
const { startDifficultServer } = require('./support/difficult-server.js');
const { startSlowRelay } = require('./support/slow-relay.js');
const { EACH_WAY, connectedWorker, deferred, stateOf } = require('./support/workers.js');

/**
 * How long a handler holds its thread. A worker that beat on that thread would be lost after a fraction of it; the full
 * minute is for patient people.
 */
const BLOCK_MS = Number(process.env.WORKER_TEST_BLOCK_MS ?? 3_000);
const LONG_MS = 60_000 + 2 * BLOCK_MS;

const startWorkerProgram = (server, options = {}) =>
  startProgram(
    'worker/programs/worker.js',
    server.url ?? `ws://127.0.0.1:${server.port}`,
    JSON.stringify({ reconnect: { initialDelayMs: 20, maxDelayMs: 50 }, ...options }),
  );

const statesOf = (stdout) => stdout.match(/(?<=^state )\w+/gm);

test(
  'a handler that holds its thread delays no heartbeat, and what it was sent meanwhile is handled after it',
  async () => {
    const server = await startDifficultServer({ heartbeatIntervalMs: 50 });
    const program = startWorkerProgram(server);
    const connection = await server.connection();
    connection.request('r1', { payload: { blockMs: BLOCK_MS } });
    await program.stdout(/handling/);
    const before = connection.messages.length;
    connection.request('r2', { payload: {} });
    // Acknowledged at once, by the thread that is free.
    await connection.next('request_ack', 'r2');
    expect(connection.about('r1')).toEqual([]);
    await connection.next('request_result', 'r1');
    // The next heartbeat may have come together with the results, and have no request any more.
    const result = connection.messages.findIndex(({ type }) => type === 'request_result');
    const beats = connection.messages.slice(before, result).filter(({ type }) => type === 'heartbeat');
    expect(beats.length).toBeGreaterThan(BLOCK_MS / 50 / 4);
    expect(beats.at(-1).active).toEqual(['r1', 'r2']);
    await connection.next('request_result', 'r2');
    connection.send({ type: 'close' });
    const { stdout, code } = await program.exit;
    expect(code).toBe(0);
    expect(statesOf(stdout)).toEqual(['connecting', 'connected', 'closed']);
  },
  LONG_MS,
);

test(
  'the real server never finds such a worker unhealthy',
  async () => {
    const { server, log } = await startServer({
      heartbeatIntervalMs: 50,
      heartbeatTimeoutMs: Math.min(1_000, BLOCK_MS / 2),
      healthCheckIntervalMs: 20,
    });
    const connected = nextCall((handler) => server.onWorkerConnected(handler));
    const blocked = nextCall((handler) => server.onWorkerMessage('blocked', handler));
    const program = startWorkerProgram(server);
    await connected;
    server.send('w', { type: 'block', ms: BLOCK_MS });
    await blocked;
    expect(server.getWorkerInfo()[0].status).toBe('available');
    expect(log.all('Worker heartbeat timeout')).toEqual([]);
    server.send('w', { type: 'close' });
    expect((await program.exit).code).toBe(0);
  },
  LONG_MS,
);

test('a reconnect while the thread is held uses the token and the capabilities that were given last', async () => {
  const server = await startDifficultServer();
  const program = startProgram('worker/programs/asked-worker.js', server.url);
  const connection = await server.connection();
  expect(connection.registration).toMatchObject({ authToken: 'token-1', capabilities: { maxConcurrentRequests: 1 } });
  connection.request('r1');
  await program.stdout(/handling/);
  await connection.cut();
  const second = await server.connection();
  expect(second.registration).toMatchObject({ authToken: 'token-1', capabilities: { maxConcurrentRequests: 1 } });
  program.child.kill('SIGKILL');
});

test.each(EACH_WAY)(
  'a process that was suspended goes on with its connection %s',
  async (_name, isolate) => {
    const server = await startDifficultServer({ heartbeatIntervalMs: 100 });
    const program = startWorkerProgram(server, { isolate });
    const connection = await server.connection();
    await connection.next('heartbeat');
    program.child.kill('SIGSTOP');
    // Longer than an ack may be late.
    await new Promise((resolve) => setTimeout(resolve, 6_500));
    program.child.kill('SIGCONT');
    connection.messages.length = 0;
    await until(() => connection.messages.filter(({ type }) => type === 'heartbeat').length > 3);
    connection.request('r1', { payload: {} });
    await connection.next('request_result');
    connection.send({ type: 'close' });
    expect(statesOf((await program.exit).stdout)).toEqual(['connecting', 'connected', 'closed']);
  },
  40_000,
);

test("a handler that holds the connection's own thread loses no connection either", async () => {
  const server = await startDifficultServer({ heartbeatIntervalMs: 100 });
  const program = startWorkerProgram(server, { isolate: false });
  const connection = await server.connection();
  await connection.next('heartbeat');
  connection.request('r1', { payload: { blockMs: 6_500 } });
  await connection.next('request_result');
  await connection.next('heartbeat');
  connection.send({ type: 'close' });
  expect(statesOf((await program.exit).stdout)).toEqual(['connecting', 'connected', 'closed']);
}, 40_000);

test('a heartbeat that is not answered in time means that the connection is lost', async () => {
  const server = await startDifficultServer({ heartbeatIntervalMs: 100, acksHeartbeats: false });
  const { worker } = await connectedWorker(server);
  await server.connection();
  expect(worker.states.find(({ attempt }) => attempt === 2).error.message).toBe(
    'The server has not answered a heartbeat in time',
  );
});

test('acks that are late, but not too late, are fine', async () => {
  const server = await startDifficultServer({ heartbeatIntervalMs: 1_000, acksHeartbeats: false });
  const { worker, connection } = await connectedWorker(server);
  connection.ws.on('message', (data) => {
    const { type, timestamp } = JSON.parse(String(data));
    if (type === 'heartbeat') setTimeout(() => connection.send({ type: 'heartbeat_ack', timestamp }), 3_000);
  });
  for (let n = 0; n < 8; n += 1) await connection.next('heartbeat');
  expect(worker.states.map(({ state }) => state)).toEqual(['connecting', 'connected']);
});

test('a line that is half-open is noticed in the middle of a stream, which goes on with the next connection', async () => {
  const server = await startDifficultServer({ heartbeatIntervalMs: 100 });
  const gate = deferred();
  const { worker, connection } = await connectedWorker(server, {
    async *handler() {
      for (let n = 0; n < 4; n += 1) yield 'x'.repeat(1024 * 1024);
      await gate.promise;
      return 'end';
    },
  });
  connection.request('r1', { stream: true });
  await connection.next('request_ack');
  connection.goDeaf();
  server.behaviour.ack = () => server.ackOf({ resumed: [{ requestId: 'r1', attempt: 1, nextSeq: 0 }], dropped: [] });
  const second = await server.connection();
  gate.resolve();
  await second.next('request_result');
  expect(second.about('r1').map(({ seq }) => seq)).toEqual([0, 1, 2, 3, undefined]);
  await stateOf(worker, 'connected');
});

test('a result that takes long to be sent over a slow line costs no connection', async () => {
  const server = await startDifficultServer({ heartbeatIntervalMs: 500 });
  const port = await startSlowRelay(server.port, 2_500_000);
  const { worker, connection } = await connectedWorker({ port }, { handler: () => 'x'.repeat(25_000_000) }, server);
  connection.request('r1');
  expect((await connection.next('request_result')).data).toHaveLength(25_000_000);
  expect(worker.states.map(({ state }) => state)).toEqual(['connecting', 'connected']);
}, 40_000);
