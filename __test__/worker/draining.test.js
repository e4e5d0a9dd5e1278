'use strict';

const { startProgram } = require('../support/program.js');
const { startDifficultServer } = require('./support/difficult-server.js');
const {
  EACH_WAY,
  aborted,
  connectedWorker,
  createWorker,
  deferred,
  runWorker,
  stateOf,
} = require('./support/workers.js');

const GOODBYE = { code: 1000, reason: 'Worker shutting down' };
const types = (connection) => connection.messages.map(({ type }) => type).filter((type) => type !== 'heartbeat');

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  async function start(options, serverOptions) {
    const server = await startDifficultServer(serverOptions);
    return { server, ...(await connectedWorker(server, { isolate, ...options })) };
  }

  test('a worker that has nothing to do says that it drains, and closes', async () => {
    const { worker, connection } = await start();
    const drained = worker.drain();
    expect(worker.state).toBe('draining');
    await drained;
    await worker.ended;
    expect(connection.messages.at(-1)).toEqual({ type: 'worker_status', status: 'draining' });
    expect(await connection.closed).toEqual(GOODBYE);
    expect(worker.states.map(({ state }) => state)).toEqual(['connecting', 'connected', 'draining', 'closed']);
  });

  test('what runs comes to its end first, with heartbeats until then, and what was sent before the ack is handled', async () => {
    const gate = deferred();
    const { worker, connection } = await start(
      { handler: async (payload) => (payload === 'wait' ? gate.promise : payload) },
      { heartbeatIntervalMs: 30, acksStatus: false },
    );
    connection.request('r1', { payload: 'wait' });
    await connection.next('request_ack');
    worker.drain();
    await connection.next('worker_status');
    connection.request('r2', { payload: 'still taken' });
    expect(await connection.next('request_result')).toMatchObject({ data: 'still taken' });
    connection.send({ type: 'worker_status_ack', status: 'draining' });
    while (connection.messages.at(-1).active?.[0] !== 'r1') await connection.next('heartbeat');
    gate.resolve('done');
    await worker.ended;
    expect(types(connection).at(-1)).toBe('request_result');
    expect(connection.messages.findLast(({ type }) => type === 'request_result').data).toBe('done');
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('acks of a status that the application had sent before count for nothing', async () => {
    const { worker, connection } = await start({}, { acksStatus: false });
    for (const status of ['draining', 'available']) {
      worker.send({ type: 'worker_status', status });
      await connection.next('worker_status');
      connection.send({ type: 'worker_status_ack', status });
    }
    // Whatever is behind the acks has been handled with them.
    connection.request('r1');
    await connection.next('request_result');
    const drained = worker.drain();
    await connection.next('worker_status');
    connection.request('r2');
    await connection.next('request_result');
    connection.send({ type: 'worker_status_ack', status: 'draining' });
    await drained;
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('it does not close before the server’s ack', async () => {
    const { worker, connection } = await start({}, { acksStatus: false });
    const drained = worker.drain();
    await connection.next('worker_status');
    connection.request('r1');
    await connection.next('request_result');
    expect(worker.state).toBe('draining');
    connection.send({ type: 'worker_status_ack', status: 'available' });
    connection.request('r2');
    await connection.next('request_result');
    connection.send({ type: 'worker_status_ack', status: 'draining' });
    await drained;
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('a server that settles nothing holds it up for a moment only', async () => {
    const { worker, connection } = await start({ handler: () => 1 }, { settles: false });
    connection.request('r1');
    await connection.next('request_result');
    await worker.drain();
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('at drainTimeoutMs the signals abort, and a second later it closes', async () => {
    const reasons = [];
    const { worker, connection } = await start({
      drainTimeoutMs: 50,
      handler: async (payload, { signal }) => {
        reasons.push((await aborted(signal)).code);
        if (payload === 'stubborn') await new Promise(() => {});
        return 'half of it';
      },
    });
    connection.request('r1', { payload: 'stubborn' });
    connection.request('r2', { payload: 'obedient' });
    await connection.next('request_ack', 'r2');
    await worker.drain();
    await expect(worker.ended).resolves.toBeUndefined();
    expect(reasons).toEqual(['DRAIN_TIMEOUT', 'DRAIN_TIMEOUT']);
    expect(connection.messages.filter(({ type }) => type === 'request_result')).toEqual([
      { type: 'request_result', requestId: 'r2', attempt: 1, data: 'half of it' },
    ]);
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('a generator may still yield what it has when the drain’s time is up', async () => {
    const { worker, connection } = await start({
      drainTimeoutMs: 30,
      async *handler(_payload, { signal }) {
        yield 'begun';
        await aborted(signal);
        yield 'the last';
        return 'end';
      },
    });
    connection.request('r1', { stream: true });
    await connection.next('request_chunk');
    await worker.drain();
    expect(connection.about('r1').map(({ data }) => data)).toEqual(['begun', 'the last', 'end']);
  });

  test('a worker that is connecting for the first time leaves at once', async () => {
    const server = await startDifficultServer({ upgrade: () => null });
    const worker = runWorker(server, { isolate });
    while (server.upgrades.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    await worker.drain();
    await worker.ended;
    expect(worker.state).toBe('closed');
  });

  test('a worker that has registered and has no answer yet waits for it, says that it drains, and closes', async () => {
    const server = await startDifficultServer();
    server.behaviour.ack = () => null;
    const worker = runWorker(server, { isolate });
    const connection = await server.connection();
    const drained = worker.drain();
    expect(worker.state).toBe('draining');
    connection.send(server.ackOf());
    expect(await connection.next('worker_status')).toEqual({ type: 'worker_status', status: 'draining' });
    await drained;
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('a line that is cut while it drains is resumed, and the drain goes on', async () => {
    const gate = deferred();
    const { server, worker, connection } = await start({ handler: () => gate.promise });
    connection.request('r1');
    await connection.next('request_ack');
    const drained = worker.drain();
    await connection.next('worker_status');
    server.behaviour.ack = () => server.ackOf({ resumed: [{ requestId: 'r1', attempt: 1, nextSeq: 0 }], dropped: [] });
    await connection.cut();
    const second = await server.connection();
    expect(await second.next('worker_status')).toEqual({ type: 'worker_status', status: 'draining' });
    gate.resolve('done');
    expect(await second.next('request_result')).toMatchObject({ data: 'done' });
    await drained;
    expect(await second.closed).toEqual(GOODBYE);
    expect(worker.states.map(({ state }) => state)).toEqual(['connecting', 'connected', 'draining', 'closed']);
  });

  test('a line that is cut while it drains, with nothing to resume, is not replaced', async () => {
    const { server, worker, connection } = await start({}, { acksStatus: false });
    const drained = worker.drain();
    await connection.next('worker_status');
    await connection.cut();
    await drained;
    await worker.ended;
    expect(server.upgrades).toHaveLength(1);
  });

  test('drain() again joins, and close() while it drains closes at once', async () => {
    const { worker, connection } = await start({ handler: () => new Promise(() => {}) });
    connection.request('r1');
    await connection.next('request_ack');
    const drains = [worker.drain(), worker.drain()];
    await connection.next('worker_status');
    await worker.close();
    await Promise.all(drains);
    await worker.ended;
    expect(connection.messages.filter(({ type }) => type === 'worker_status')).toHaveLength(1);
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('close() aborts what runs', async () => {
    const codes = [];
    const { worker, connection } = await start({
      handler: async (_payload, { signal }) => codes.push((await aborted(signal)).code),
    });
    connection.request('r1');
    await connection.next('request_ack');
    await worker.close();
    expect(codes).toEqual(['DISCONNECTED']);
  });

  test('handlers that outlive a run count in the next one', async () => {
    const gate = deferred();
    const { server, worker, connection } = await start({
      handler: () => gate.promise,
      capabilities: { models: [], maxConcurrentRequests: 1 },
    });
    connection.request('r1');
    await connection.next('request_ack');
    await worker.close();
    await worker.ended;
    worker.ended = worker.run();
    const second = await server.connection();
    second.request('r2');
    await second.next('request_reject');
    gate.resolve('done');
    await second.requestUntilTaken('r2', { attempt: 2 });
    await second.next('request_result');
  });
});

test('signals are listened to while run() runs, and no longer', async () => {
  const counts = () => ['SIGINT', 'SIGTERM'].map((signal) => process.listenerCount(signal));
  const before = counts();
  const server = await startDifficultServer();
  const worker = createWorker(server, { handleSignals: undefined });
  expect(counts()).toEqual(before);
  const run = worker.run();
  expect(counts()).toEqual(before.map((count) => count + 1));
  await stateOf(worker, 'connected');
  await worker.close();
  await run;
  expect(counts()).toEqual(before);
});

describe('a worker’s process', () => {
  const startProcess = (server, options = {}) =>
    startProgram('worker/programs/worker.js', server.url, JSON.stringify(options));

  test('is kept alive by run(), drains at a signal, says which, and ends by itself', async () => {
    const server = await startDifficultServer();
    const program = startProcess(server);
    const connection = await server.connection();
    connection.request('r1', { payload: { blockMs: 300 } });
    await program.stdout(/handling/);
    program.child.kill('SIGTERM');
    expect(await connection.next('worker_status')).toEqual({
      type: 'worker_status',
      status: 'draining',
      reason: 'SIGTERM',
    });
    expect(connection.about('r1').map(({ type }) => type)).toEqual(['request_result']);
    const { code, signal, stdout, stderr } = await program.exit;
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(stdout).toMatch(/over, 0 signal listeners, 0 addons/);
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('ends after close(), though a handler goes on and its request had ten minutes', async () => {
    const server = await startDifficultServer();
    const program = startProcess(server);
    const connection = await server.connection();
    connection.request('r1', { payload: { hang: 'forever' }, timeoutMs: 600_000 });
    await program.stdout(/handling/);
    connection.send({ type: 'close' });
    expect((await program.exit).code).toBe(0);
    expect(await connection.closed).toEqual(GOODBYE);
  });

  test('closes at once at a second signal', async () => {
    const server = await startDifficultServer();
    const program = startProcess(server);
    const connection = await server.connection();
    connection.request('r1', { payload: { hang: 'forever' } });
    await program.stdout(/handling/);
    program.child.kill('SIGINT');
    await connection.next('worker_status');
    program.child.kill('SIGTERM');
    expect(await connection.closed).toEqual(GOODBYE);
    expect((await program.exit).code).toBe(0);
  });

  test('that handles no signals dies of one', async () => {
    const server = await startDifficultServer();
    const program = startProcess(server, { handleSignals: [] });
    await server.connection();
    await program.stdout(/state connected/);
    program.child.kill('SIGTERM');
    expect((await program.exit).signal).toBe('SIGTERM');
  });

  test('ends when the server lets the worker go, with a connection on its own thread too', async () => {
    const server = await startDifficultServer();
    for (const isolate of [true, false]) {
      const program = startProcess(server, { isolate });
      const connection = await server.connection();
      await program.stdout(/state connected/);
      connection.close(1000, 'bye');
      expect(await program.exit).toMatchObject({ code: 0, stderr: '' });
    }
  });
});
