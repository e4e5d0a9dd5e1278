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
  async function start(options, serverOptions) {
    const server = await startDifficultServer(serverOptions);
    return { server, ...(await connectedWorker(server, { isolate, ...options })) };
  }

  test('send() is false unless the worker is registered, and nothing is kept', async () => {
    const server = await startDifficultServer();
    const acks = [null];
    server.behaviour.ack = () => (acks.length > 0 ? acks.shift() : server.ackOf());
    const worker = createWorker(server, { isolate });
    expect(worker.send({ type: 'a' })).toBe(false);
    worker.ended = worker.run();
    expect(worker.send({ type: 'a' })).toBe(false);
    const first = await server.connection();
    expect(worker.send({ type: 'a' })).toBe(false);
    await first.cut();
    const second = await server.connection();
    await stateOf(worker, 'connected');
    expect(worker.send({ type: 'b' })).toBe(true);
    await second.next('b');
    await worker.close();
    expect(worker.send({ type: 'c' })).toBe(false);
    expect([...first.messages, ...second.messages].map(({ type }) => type)).toEqual([
      'worker_registration',
      'worker_registration',
      'b',
    ]);
  });

  test('send() throws what JSON.stringify throws', async () => {
    const { worker, connection } = await start();
    const cyclic = {};
    cyclic.self = cyclic;
    expect(() => worker.send(cyclic)).toThrow(/circular/);
    expect(() => worker.send({ n: 1n })).toThrow(/BigInt/);
    expect(() => worker.send(undefined)).toThrow(TypeError);
    worker.send({ type: 'fine' });
    await connection.next('fine');
  });

  test('what was sent before close() arrives', async () => {
    const { worker, connection } = await start();
    const text = 'x'.repeat(8 * 1024 * 1024);
    worker.send({ type: 'first', text });
    worker.send({ type: 'last' });
    await worker.close();
    await connection.closed;
    expect(connection.messages.slice(1).map(({ type }) => type)).toEqual(['first', 'last']);
  });

  test('handlers get their messages in order, each undisturbed by the others, until they are removed', async () => {
    const { worker, connection } = await start();
    const seen = [];
    const last = deferred();
    worker.onMessage('n', () => {
      throw new Error('first');
    });
    worker.onMessage('n', async () => {
      throw new Error('second');
    });
    const remove = worker.onMessage('n', ({ n }) => seen.push(n));
    worker.onMessage('last', last.resolve);
    for (let n = 0; n < 3; n += 1) connection.send({ type: 'n', n });
    connection.send({ type: 'last', ['__proto__']: 1 });
    await last.promise;
    expect(seen).toEqual([0, 1, 2]);
    await new Promise(setImmediate);
    expect(worker.log.contexts('Error in message handler')).toHaveLength(6);
    expect(worker.log.contexts('Error in message handler')).toContainEqual({ type: 'n', error: 'second' });
    remove();
    remove();
    const done = deferred();
    worker.onMessage('done', done.resolve);
    connection.send({ type: 'n', n: 3 });
    connection.send({ type: 'done' });
    await done.promise;
    expect(seen).toHaveLength(3);
  });

  test('a state listener that throws disturbs nothing', async () => {
    const server = await startDifficultServer();
    const worker = createWorker(server, { isolate });
    worker.on('state', () => {
      throw new Error('listener');
    });
    worker.once('state', async () => {
      throw new Error('once');
    });
    worker.ended = worker.run();
    await stateOf(worker, 'connected');
    expect(worker.log.contexts('Error in state listener').map(({ error }) => error)).toEqual(
      expect.arrayContaining(['listener', 'once']),
    );
  });

  test('a logger that throws disturbs nothing', async () => {
    const server = await startDifficultServer({ features: [] });
    const fail = () => {
      throw new Error('logger');
    };
    const worker = runWorker(server, {
      isolate,
      logger: { debug: fail, info: fail, warn: fail, error: async () => fail() },
    });
    await stateOf(worker, 'connected');
  });

  test('an update replaces the capabilities of this session and the next ones', async () => {
    const server = await startDifficultServer();
    const gate = deferred();
    const { worker, connection } = await connectedWorker(server, {
      isolate,
      handler: () => gate.promise,
      capabilities: { models: [], maxConcurrentRequests: 1 },
    });
    const capabilities = { models: [{ modelId: 'new' }], maxConcurrentRequests: 2 };
    const updated = worker.update(capabilities);
    expect(await connection.next('worker_update')).toEqual({ type: 'worker_update', capabilities });
    connection.send({ type: 'worker_update_ack', success: true });
    await updated;
    connection.request('r1');
    connection.request('r2');
    await connection.next('request_ack', 'r1');
    await connection.next('request_ack', 'r2');
    await connection.cut();
    const second = await server.connection();
    expect(second.registration.capabilities).toEqual(capabilities);
    gate.resolve();
  });

  test('a refused update rejects with the server’s words, and the old capabilities stay', async () => {
    const { server, worker, connection } = await start();
    const words = 'Invalid update: capabilities.models: must be an array';
    const updates = [
      worker.update({ models: 'none', maxConcurrentRequests: 1 }),
      worker.update({ models: [], maxConcurrentRequests: 7 }),
    ];
    await connection.next('worker_update');
    connection.send({ type: 'worker_update_ack', success: false, error: words });
    connection.send({ type: 'worker_update_ack', success: true });
    await expect(updates[0]).rejects.toThrow(words);
    await updates[1];
    const refused = worker.update({ models: 4 });
    await connection.next('worker_update');
    await connection.next('worker_update');
    connection.send({ type: 'worker_update_ack', success: false, error: words });
    await expect(refused).rejects.toThrow(words);
    await connection.cut();
    const second = await server.connection();
    expect(second.registration.capabilities).toEqual({ models: [], maxConcurrentRequests: 7 });
  });

  test('an update before the worker is connected counts from its registration, whatever functions say', async () => {
    const server = await startDifficultServer();
    const worker = createWorker(server, { isolate, capabilities: () => CAPABILITIES });
    await worker.update({ models: [], maxConcurrentRequests: 5 });
    worker.ended = worker.run();
    const connection = await server.connection();
    expect(connection.registration.capabilities).toEqual({ models: [], maxConcurrentRequests: 5 });
  });

  test('an update while the registration is awaited is sent after its ack', async () => {
    const server = await startDifficultServer({ ack: () => null });
    const worker = runWorker(server, { isolate });
    const connection = await server.connection();
    const updated = worker.update({ models: [], maxConcurrentRequests: 5 });
    // The thread has the update once it answers to what comes after it.
    connection.ws.ping();
    await new Promise((resolve) => connection.ws.once('pong', resolve));
    connection.send(server.ackOf());
    await connection.next('worker_update');
    connection.send({ type: 'worker_update_ack', success: true });
    await updated;
  });

  test('an update whose answer is lost counts from the next registration', async () => {
    const { server, worker, connection } = await start();
    const updated = worker.update({ models: [], maxConcurrentRequests: 5 });
    await connection.next('worker_update');
    await connection.cut();
    await updated;
    const second = await server.connection();
    expect(second.registration.capabilities).toEqual({ models: [], maxConcurrentRequests: 5 });
  });

  test('a server without the features takes an update with the next registration', async () => {
    const { server, worker, connection } = await start({}, { features: [] });
    await worker.update({ models: [], maxConcurrentRequests: 5 });
    await connection.cut();
    const second = await server.connection();
    expect(second.registration.capabilities).toEqual({ models: [], maxConcurrentRequests: 5 });
    expect(connection.messages.some(({ type }) => type === 'worker_update')).toBe(false);
  });

  test('capabilities that are no object are a TypeError', async () => {
    const { worker } = await start();
    for (const wrong of [undefined, null, 5, 'x', [], () => CAPABILITIES])
      await expect(worker.update(wrong)).rejects.toThrow(TypeError);
  });
});
