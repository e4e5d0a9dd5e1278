'use strict';

// Against the package's own server.

const { startServer, nextCall, until } = require('../support/server.js');
const { CAPABILITIES, EACH_WAY, createWorker, deferred, runWorker, stateOf } = require('./support/workers.js');

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  test('registers with its token and its capabilities, and leaves with 1000', async () => {
    const { server, log } = await startServer({ authToken: 'sesame' });
    const connected = nextCall((handler) => server.onWorkerConnected(handler));
    const capabilities = { ...CAPABILITIES, concurrencyLimits: { c: 1 }, metadata: { rack: 4 } };
    const worker = runWorker(server, { isolate, authToken: 'sesame', workerName: 'Worker', capabilities });
    const [info] = await connected;
    expect(info).toMatchObject({ id: 'w', name: 'Worker', status: 'available', capabilities });
    await stateOf(worker, 'connected');
    await worker.close();
    await worker.ended;
    await log.line('Worker disconnected');
    expect(log.contexts('Worker disconnected')).toEqual([
      { workerId: 'w', code: 1000, reason: 'Worker shutting down' },
    ]);
  });

  test('a wrong token and a bad registration are rejections', async () => {
    const { server } = await startServer({ authToken: 'sesame' });
    await expect(runWorker(server, { isolate, authToken: 'wrong' }).ended).rejects.toMatchObject({
      name: 'WorkerRejectedError',
      code: 4001,
      reason: 'Authentication failed',
    });
    const bad = runWorker(server, {
      isolate,
      authToken: 'sesame',
      capabilities: { models: 'none', maxConcurrentRequests: 1 },
    });
    await expect(bad.ended).rejects.toMatchObject({
      code: 4002,
      reason: 'Invalid registration',
      message: expect.stringContaining('capabilities.models'),
    });
    const tokens = ['wrong', 'sesame'];
    await stateOf(runWorker(server, { isolate, authToken: () => tokens.shift() }), 'connected');
  });

  test('who takes over its id ends its run', async () => {
    const { server } = await startServer();
    const first = runWorker(server, { isolate });
    await stateOf(first, 'connected');
    const second = runWorker(server, { isolate });
    await expect(first.ended).rejects.toMatchObject({ code: 4003, reason: 'Replaced by new connection' });
    await stateOf(second, 'connected');
    expect(server.getWorkerCount()).toBe(1);
  });

  test('messages go both ways, in order and exactly', async () => {
    const { server } = await startServer();
    const worker = createWorker(server, { isolate });
    const odd = { type: 'echo', text: 'é\u2028\u0000"\\😀', lone: '\ud800', n: -0.1, deep: [[{ a: null }]] };
    worker.onMessage('echo', (message) => worker.send(message));
    const received = [];
    const all = deferred();
    server.onWorkerMessage('echo', (_worker, message) => {
      received.push(message);
      if (received.length === 100) all.resolve();
    });
    worker.ended = worker.run();
    await stateOf(worker, 'connected');
    for (let n = 0; n < 100; n += 1) server.send('w', { ...odd, at: n });
    await all.promise;
    expect(received).toEqual(Array.from({ length: 100 }, (_value, at) => ({ ...odd, at })));
  });

  test('heartbeats keep it healthy', async () => {
    const { server, log } = await startServer({
      heartbeatIntervalMs: 30,
      heartbeatTimeoutMs: 2_000,
      healthCheckIntervalMs: 20,
    });
    const worker = runWorker(server, { isolate });
    await stateOf(worker, 'connected');
    const [{ lastHeartbeat }] = server.getWorkerInfo();
    await until(() => server.getWorkerInfo()[0].lastHeartbeat - lastHeartbeat > 200);
    expect(log.all('Worker heartbeat timeout')).toEqual([]);
  });

  test('it comes back to a server that stops and starts again', async () => {
    const { server } = await startServer();
    const { port } = server;
    const worker = runWorker({ url: `ws://127.0.0.1:${port}` }, { isolate });
    await stateOf(worker, 'connected');
    await server.stop();
    const connected = deferred();
    await startServer({ port }, (again) => again.onWorkerConnected(connected.resolve));
    await connected.promise;
    expect(worker.states.map(({ state }) => state).slice(0, 3)).toEqual(['connecting', 'connected', 'connecting']);
  });
});
