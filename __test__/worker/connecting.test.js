'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const {
  CAPABILITIES,
  EACH_WAY,
  connectedWorker,
  createWorker,
  deferred,
  runWorker,
  stateOf,
} = require('./support/workers.js');

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const run = (server, options) => runWorker(server, { isolate, ...options });

  test('a worker registers with what it was given', async () => {
    const server = await startDifficultServer();
    const worker = run(
      { url: `${server.url}/workers?pool=a` },
      {
        workerId: 'w1',
        workerName: 'Worker 1',
        authToken: 'sesame',
        headers: { 'X-Site': 'attic' },
      },
    );
    const connection = await server.connection();
    expect(connection.registration).toEqual({
      type: 'worker_registration',
      workerId: 'w1',
      workerName: 'Worker 1',
      capabilities: CAPABILITIES,
      authToken: 'sesame',
      features: ['request', 'resume'],
    });
    expect(Object.keys(connection.registration)).toEqual([
      'type',
      'workerId',
      'workerName',
      'capabilities',
      'authToken',
      'features',
    ]);
    expect(connection.url).toBe('/workers?pool=a');
    expect(connection.headers).toMatchObject({ authorization: 'Bearer sesame', 'x-site': 'attic' });
    expect(connection.headers['sec-websocket-extensions']).toBeUndefined();
    await stateOf(worker, 'connected');
  });

  test('without an id it has one of its own, which is its name too', async () => {
    const server = await startDifficultServer();
    const { connection, worker } = await connectedWorker(server, { isolate, workerId: undefined });
    expect(worker.workerId).toMatch(new RegExp(`-${process.pid}-[0-9a-f]{4}$`));
    expect(connection.registration).toMatchObject({ workerId: worker.workerId, workerName: worker.workerId });
    expect('authToken' in connection.registration).toBe(false);
    expect(connection.headers.authorization).toBeUndefined();
  });

  test('an Authorization of the application goes before the token, which may fit no header', async () => {
    const server = await startDifficultServer();
    const { connection } = await connectedWorker(server, {
      isolate,
      authToken: 'sesame',
      headers: { authorization: 'Basic abc' },
    });
    expect(connection.headers.authorization).toBe('Basic abc');
    const other = await connectedWorker(server, { isolate, authToken: 'sésame\n' });
    expect(other.connection.headers.authorization).toBeUndefined();
    expect(other.connection.registration.authToken).toBe('sésame\n');
  });

  test('functions are asked for the token and the capabilities at each connect', async () => {
    const server = await startDifficultServer();
    let n = 0;
    const worker = run(server, {
      authToken: async () => `token-${n}`,
      capabilities: () => ({ models: [], maxConcurrentRequests: ++n }),
    });
    const first = await server.connection();
    await first.cut();
    const second = await server.connection();
    expect(first.registration.capabilities.maxConcurrentRequests).toBe(1);
    expect(second.registration.capabilities.maxConcurrentRequests).toBe(2);
    expect(second.registration.authToken).toMatch(/^token-[12]$/);
    await stateOf(worker, 'connected');
  });

  test('a function that fails is asked again', async () => {
    const server = await startDifficultServer();
    const answers = [
      () => {
        throw new Error('not yet');
      },
      () => Promise.reject(new Error('still not')),
      () => 7,
      () => 'sesame',
    ];
    const worker = run(server, { authToken: () => answers.shift()() });
    const connection = await server.connection();
    expect(connection.registration.authToken).toBe('sesame');
    expect(worker.log.contexts('Worker could not connect').map(({ error }) => error)).toEqual([
      'not yet',
      'still not',
      'options.authToken must return a string',
    ]);
  });

  test('states follow what happens', async () => {
    const server = await startDifficultServer();
    const worker = run(server);
    expect(worker.state).toBe('connecting');
    const connection = await server.connection();
    await stateOf(worker, 'connected');
    await connection.close(1011, 'oops');
    await server.connection();
    await stateOf(worker, 'connected');
    await worker.close();
    await worker.ended;
    expect(worker.states).toEqual([
      { state: 'connecting', attempt: 1, delayMs: 0 },
      { state: 'connected' },
      {
        state: 'connecting',
        attempt: 2,
        delayMs: expect.any(Number),
        error: expect.objectContaining({ message: 'The server closed the connection: 1011 oops', code: 1011 }),
      },
      { state: 'connected' },
      { state: 'closed' },
    ]);
    expect(worker.states[2].error).toBeInstanceOf(Error);
    expect(worker.state).toBe('closed');
  });

  test.each([
    [1001, 'Server shutting down'],
    [1006, ''],
    [1011, ''],
    [1012, ''],
    [3000, 'whatever'],
    [4003, 'Heartbeat timeout'],
    [4003, 'Ping timeout'],
    [4004, 'Registration timeout'],
    [4008, 'Slow consumer'],
    [4009, 'Id in use'],
  ])('after a close %i %s the worker comes back', async (code, reason) => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, { isolate });
    await (code === 1006 ? connection.cut() : connection.close(code, reason));
    await server.connection();
    await stateOf(worker, 'connected');
  });

  test.each([429, 503])(
    'after an upgrade refused with %i the worker does not come back before Retry-After',
    async (status) => {
      const server = await startDifficultServer();
      const refusals = [{ status, headers: { 'Retry-After': '1' } }];
      server.behaviour.upgrade = () => refusals.shift();
      const worker = run(server);
      await server.connection();
      expect(server.upgrades[1].at - server.upgrades[0].at).toBeGreaterThanOrEqual(990);
      expect(worker.states[1]).toMatchObject({
        state: 'connecting',
        attempt: 2,
        error: { message: `The server answered the upgrade with ${status}`, statusCode: status },
      });
      expect(worker.states[1].delayMs).toBeGreaterThanOrEqual(1_000);
    },
  );

  test('after server_draining the worker comes back when it was asked to', async () => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, {
      isolate,
      reconnect: { initialDelayMs: 600_000, maxDelayMs: 600_000 },
    });
    connection.send({ type: 'server_draining', timeoutMs: 100, reconnectAfterMs: 120 });
    connection.close(1001, 'Server shutting down');
    await server.connection();
    expect(worker.states[2]).toMatchObject({ state: 'connecting', delayMs: 120 });
  });

  test('beyond maxAttempts failures in a row the run rejects with the last error', async () => {
    const server = await startDifficultServer();
    server.behaviour.upgrade = () => 500;
    const worker = run(server, { reconnect: { initialDelayMs: 5, maxDelayMs: 5, maxAttempts: 3 } });
    await expect(worker.ended).rejects.toMatchObject({
      message: 'The server answered the upgrade with 500',
      statusCode: 500,
    });
    expect(server.upgrades).toHaveLength(3);
  });

  test('a server that can’t be reached is a failure with its code', async () => {
    const server = await startDifficultServer();
    const { url } = server;
    await server.stop();
    const worker = run({ url }, { reconnect: { initialDelayMs: 5, maxAttempts: 2 } });
    const refused = { code: 'ECONNREFUSED', message: expect.stringContaining('ECONNREFUSED') };
    await expect(worker.ended).rejects.toMatchObject(refused);
  });

  test('with maxAttempts 0 a lost connection is not replaced', async () => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, { isolate, reconnect: { maxAttempts: 0 } });
    await connection.close(1011, 'oops');
    await expect(worker.ended).rejects.toMatchObject({ message: expect.stringContaining('1011 oops') });
  });

  test('run() while it runs rejects, and afterwards it may be called again', async () => {
    const server = await startDifficultServer();
    const { worker } = await connectedWorker(server, { isolate });
    await expect(worker.run()).rejects.toThrow(/already running/);
    expect(worker.state).toBe('connected');
    await worker.close();
    await worker.ended;
    const again = worker.run();
    await server.connection();
    await stateOf(worker, 'connected');
    await worker.close();
    await again;
  });

  test('close() works in every state', async () => {
    const server = await startDifficultServer();
    const worker = createWorker(server, { isolate });
    await worker.close();
    await worker.drain();
    expect(worker.state).toBe('idle');
    // Connecting, to a server that doesn't answer the upgrade.
    server.behaviour.upgrade = () => null;
    let run1 = worker.run();
    while (server.upgrades.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    await worker.close();
    await run1;
    // Waiting to try again.
    server.behaviour.upgrade = () => ({ status: 503, headers: { 'Retry-After': '600' } });
    run1 = worker.run();
    while (!worker.states.some(({ delayMs }) => delayMs >= 600_000))
      await new Promise((resolve) => setTimeout(resolve, 2));
    await worker.close();
    await run1;
    // Registering, with a server that doesn't answer.
    server.behaviour.upgrade = () => undefined;
    server.behaviour.ack = () => null;
    run1 = worker.run();
    await server.connection();
    await worker.close();
    await run1;
    // Waiting for its own function.
    const stuck = createWorker(server, { isolate, authToken: () => deferred().promise });
    run1 = stuck.run();
    await stuck.close();
    await run1;
    await worker.close();
    expect([worker.state, stuck.state]).toEqual(['closed', 'closed']);
  });

  test('a server that never closes in return holds nothing up', async () => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, { isolate });
    connection.goDeaf();
    await worker.close();
    await worker.ended;
  });

  test('a server without the features calls no handler; everything else works', async () => {
    const server = await startDifficultServer({ features: [], heartbeatIntervalMs: 30 });
    const handler = jest.fn();
    const { worker, connection } = await connectedWorker(server, { isolate, handler });
    const requests = [];
    const got = deferred();
    worker.onMessage('request', (message) => requests.push(message));
    worker.onMessage('task', got.resolve);
    connection.request('r1');
    connection.send({ type: 'task', n: 1 });
    expect(await got.promise).toEqual({ type: 'task', n: 1 });
    expect(requests).toHaveLength(1);
    expect(await connection.next('heartbeat')).toEqual({
      type: 'heartbeat',
      workerId: 'w',
      timestamp: expect.any(String),
    });
    expect(worker.send({ type: 'done' })).toBe(true);
    await connection.next('done');
    await connection.cut();
    const second = await server.connection();
    expect('resume' in second.registration).toBe(false);
    await stateOf(worker, 'connected');
    await worker.drain();
    await worker.ended;
    expect(await second.closed).toEqual({ code: 1000, reason: 'Worker shutting down' });
    expect(second.messages.some(({ type }) => type === 'worker_status')).toBe(false);
    expect(handler).not.toHaveBeenCalled();
    expect(worker.log.lines.filter(({ level, message }) => level === 'warn' && /feature/.test(message))).toHaveLength(
      1,
    );
  });

  test('what the ack says that makes no sense is read as if it were not there', async () => {
    const server = await startDifficultServer();
    server.behaviour.ack = () => ({
      type: 'worker_registration_ack',
      success: true,
      sessionId: 4,
      heartbeatIntervalMs: 'often',
      features: 'request',
      resumed: 7,
    });
    const { worker, connection } = await connectedWorker(server, { isolate });
    await connection.cut();
    await server.connection();
    await stateOf(worker, 'connected');
  });
});

test('a name none of whose addresses can be reached is a failure that says so', async () => {
  const server = await startDifficultServer();
  const { port } = server;
  await server.stop();
  const addresses = [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 },
  ];
  const worker = runWorker(
    { url: `ws://server.test:${port}` },
    {
      isolate: false,
      proxy: false,
      tls: { lookup: (_host, _options, found) => found(null, addresses) },
      reconnect: { maxAttempts: 1 },
    },
  );
  await expect(worker.ended).rejects.toMatchObject({
    code: 'ECONNREFUSED',
    message: expect.stringMatching(/127\.0\.0\.1.*; .*127\.0\.0\.2/),
  });
});
