'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const { CAPABILITIES, EACH_WAY, connectedWorker, deferred, stateOf } = require('./support/workers.js');

const capacity = (maxConcurrentRequests) => ({ ...CAPABILITIES, maxConcurrentRequests });
const texts = (connection) => {
  const seen = [];
  connection.ws.on('message', (data) => seen.push(String(data)));
  return seen;
};

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const start = async (options) => {
    const server = await startDifficultServer();
    return connectedWorker(server, { isolate, ...options });
  };

  test('a request is acknowledged, handled and answered', async () => {
    const { connection } = await start({ handler: (payload) => ({ doubled: payload.n * 2 }) });
    const seen = texts(connection);
    connection.request('r1', { payload: { n: 21 } });
    await connection.next('request_result');
    expect(seen).toEqual([
      '{"type":"request_ack","requestId":"r1","attempt":1}',
      '{"type":"request_result","requestId":"r1","attempt":1,"data":{"doubled":42}}',
    ]);
  });

  test('an async generator streams, and what it returns is the result', async () => {
    const { connection } = await start({
      async *handler() {
        yield 'a';
        yield undefined;
        yield { c: 3 };
        return 'end';
      },
    });
    const seen = texts(connection);
    connection.request('r1', { stream: true });
    await connection.next('request_result');
    expect(seen.slice(1)).toEqual([
      '{"type":"request_chunk","requestId":"r1","attempt":1,"seq":0,"data":"a"}',
      '{"type":"request_chunk","requestId":"r1","attempt":1,"seq":1}',
      '{"type":"request_chunk","requestId":"r1","attempt":1,"seq":2,"data":{"c":3}}',
      '{"type":"request_result","requestId":"r1","attempt":1,"data":"end"}',
    ]);
  });

  test('of a stream that nobody asked for only the returned value is sent', async () => {
    const { connection } = await start({
      async *handler() {
        yield 1;
        yield 2;
        return 3;
      },
    });
    connection.request('r1', { stream: false });
    await connection.next('request_result');
    expect(connection.about('r1')).toEqual([{ type: 'request_result', requestId: 'r1', attempt: 1, data: 3 }]);
  });

  test('a plain value is the result of a stream without chunks', async () => {
    const { connection } = await start({ handler: async () => [1, 2] });
    connection.request('r1', { stream: true });
    expect(await connection.next('request_result')).toMatchObject({ data: [1, 2] });
    expect(connection.about('r1')).toHaveLength(1);
  });

  test('an async iterable that a handler returns streams, and so does a plain generator', async () => {
    const streams = {
      iterable: async () => ({
        async *[Symbol.asyncIterator]() {
          yield 'x';
        },
      }),
      *generator() {
        yield 'y';
        return 'z';
      },
    };
    const { connection } = await start({ handler: (name) => streams[name]() });
    connection.request('r1', { stream: true, payload: 'iterable' });
    await connection.next('request_result', 'r1');
    connection.request('r2', { stream: true, payload: 'generator' });
    expect(await connection.next('request_result', 'r2')).toMatchObject({ data: 'z' });
    expect(connection.about('r1').map(({ data }) => data)).toEqual(['x', undefined]);
    expect(connection.about('r2').map(({ data }) => data)).toEqual(['y', 'z']);
  });

  test('a handler knows its request', async () => {
    const contexts = [];
    const { connection } = await start({
      handler: (payload, context) => contexts.push({ payload, ...context, remaining: context.remainingMs() }),
    });
    connection.request('r1', {
      attempt: 3,
      timeoutMs: 60_000,
      model: 'm',
      category: 'c',
      payload: [1],
      trace: { traceparent: '00-1' },
    });
    await connection.next('request_result', 'r1');
    connection.request('r2');
    await connection.next('request_result', 'r2');
    expect(contexts[0]).toMatchObject({
      payload: [1],
      requestId: 'r1',
      attempt: 3,
      model: 'm',
      category: 'c',
      trace: { traceparent: '00-1' },
    });
    expect(contexts[0].signal.aborted).toBe(false);
    expect(contexts[0].remaining).toBeGreaterThan(50_000);
    expect(contexts[0].remaining).toBeLessThanOrEqual(60_000);
    expect(contexts[1]).toMatchObject({
      payload: undefined,
      model: undefined,
      category: undefined,
      trace: undefined,
      remaining: Infinity,
    });
  });

  test('progress is sent in the order of what else is sent, and not after the end', async () => {
    let context;
    const { connection } = await start({
      async *handler(_payload, given) {
        context = given;
        context.progress({ percent: 10 });
        yield 'a';
        context.progress();
      },
    });
    connection.request('r1', { stream: true });
    await connection.next('request_result');
    context.progress('late');
    connection.request('r2', { stream: true });
    await connection.next('request_result', 'r2');
    const kinds = connection.about('r1').map(({ type, data }) => [type, data]);
    expect(kinds).toEqual([
      ['request_progress', { percent: 10 }],
      ['request_chunk', 'a'],
      ['request_progress', undefined],
      ['request_result', undefined],
    ]);
  });

  test.each([
    [
      'an error with all its members',
      Object.assign(new Error('no'), { code: 'E_NO', retryable: true, data: { a: 1 } }),
      { message: 'no', code: 'E_NO', retryable: true, data: { a: 1 } },
    ],
    [
      'an error whose members are of other kinds',
      Object.assign(new Error('no'), { code: 7, retryable: 'yes', data: 1n }),
      { message: 'no' },
    ],
    ['a string', 'just text', { message: 'just text' }],
    ['undefined', undefined, { message: 'undefined' }],
    ['an object without a message', { status: 1 }, { message: 'The handler threw an object without a message' }],
    [
      'an error whose message throws',
      Object.defineProperty(new Error('x'), 'message', {
        get: () => {
          throw new Error();
        },
      }),
      { message: 'The handler threw something that has no description' },
    ],
  ])('%s that a handler throws is the request’s error, without a stack', async (_what, thrown, expected) => {
    const { worker, connection } = await start({
      handler: () => {
        throw thrown;
      },
    });
    connection.request('r1');
    expect(await connection.next('request_error')).toEqual({
      type: 'request_error',
      requestId: 'r1',
      attempt: 1,
      error: expected,
    });
    expect(worker.log.contexts('Error in request handler')).toEqual([{ requestId: 'r1', error: expected.message }]);
  });

  test('a rejection is an error too', async () => {
    const { connection } = await start({
      handler: async () => {
        throw new Error('later');
      },
    });
    connection.request('r1');
    expect((await connection.next('request_error')).error).toEqual({ message: 'later' });
  });

  test('what JSON can’t hold is an error, of a result and of a chunk, whose generator is ended', async () => {
    const cyclic = {};
    cyclic.self = cyclic;
    const ended = deferred();
    const values = { bigint: () => 1n, cyclic: () => cyclic, function: () => () => 1 };
    const { connection } = await start({
      handler: async (what) =>
        (
          values[what] ??
          async function* chunks() {
            try {
              yield 1;
              yield 1n;
            } finally {
              ended.resolve();
            }
          }
        )(),
    });
    for (const what of ['bigint', 'cyclic', 'function', 'chunk'])
      connection.request(what, { stream: true, payload: what, attempt: 1 });
    expect((await connection.next('request_error', 'bigint')).error.message).toMatch(/BigInt/);
    expect((await connection.next('request_error', 'cyclic')).error.message).toMatch(/circular/);
    connection.request('function', { payload: 'function', attempt: 2 });
    expect((await connection.next('request_error', 'function')).error.message).toMatch(/function/);
    connection.request('chunk', { stream: true, payload: 'chunk', attempt: 2 });
    expect((await connection.next('request_error', 'chunk')).error.message).toMatch(/BigInt/);
    await ended.promise;
  });

  test('beyond its capacity a worker rejects, and takes again when a handler has returned', async () => {
    const first = deferred();
    const { connection } = await start({
      capabilities: capacity(1),
      handler: (payload) => (payload === 'wait' ? first.promise : 'done'),
    });
    connection.request('r1', { payload: 'wait' });
    await connection.next('request_ack', 'r1');
    connection.request('r2');
    expect(await connection.next('request_reject')).toEqual({
      type: 'request_reject',
      requestId: 'r2',
      attempt: 1,
      reason: 'busy',
    });
    first.resolve();
    await connection.next('request_result', 'r1');
    connection.request('r2', { attempt: 2 });
    expect(await connection.next('request_result', 'r2')).toMatchObject({ attempt: 2, data: 'done' });
  });

  test('the same attempt again is ignored while it runs, and until its end is settled', async () => {
    let calls = 0;
    const gate = deferred();
    const server = await startDifficultServer({ settles: false });
    const { connection } = await connectedWorker(server, {
      isolate,
      handler: () => {
        calls += 1;
        return gate.promise;
      },
    });
    connection.request('r1');
    await connection.next('request_ack', 'r1');
    connection.request('r1');
    gate.resolve(1);
    await connection.next('request_result', 'r1');
    connection.request('r1');
    connection.request('r2');
    await connection.next('request_result', 'r2');
    expect(calls).toBe(2);
    connection.send({ type: 'request_settled', requestId: 'r1', attempt: 1 });
    // The id is free again: this is another request.
    connection.request('r1');
    await connection.next('request_result', 'r1');
    expect(calls).toBe(3);
  });

  test('heartbeats name what is worked on', async () => {
    const server = await startDifficultServer({ heartbeatIntervalMs: 30 });
    const gate = deferred();
    const { connection } = await connectedWorker(server, { isolate, handler: () => gate.promise });
    expect(await connection.next('heartbeat')).toEqual({
      type: 'heartbeat',
      workerId: 'w',
      timestamp: expect.any(String),
      active: [],
    });
    connection.request('r1');
    await connection.next('request_ack');
    while ((await connection.next('heartbeat')).active.length === 0);
    expect(connection.messages.findLast(({ type }) => type === 'heartbeat').active).toEqual(['r1']);
    gate.resolve();
    await connection.next('request_result');
    while ((await connection.next('heartbeat')).active.length > 0);
  });

  test('malformed messages are logged, and nothing suffers', async () => {
    const { worker, connection } = await start({ handler: () => 'fine' });
    for (const text of ['{', 'null', '[]', '"text"', '{"type":7}', '{}']) connection.sendText(text);
    connection.ws.send(Buffer.from([0xff, 0x00]));
    connection.send({ type: 'request', attempt: 1 });
    connection.send({ type: 'request', requestId: 'r1' });
    connection.send({ type: 'request', requestId: 'r1', attempt: 1.5 });
    connection.send({ type: 'request_cancel', requestId: 4 });
    connection.send({ type: 'request_cancel', requestId: 'never seen' });
    connection.send({ type: 'request_settled', requestId: 'r1', attempt: 1 });
    connection.send({ type: 'worker_update_ack', success: true });
    connection.send({ type: 'worker_status_ack' });
    connection.send({ type: 'server_draining', reconnectAfterMs: 'soon' });
    connection.send({ type: 'worker_registration_ack', success: true });
    connection.send({ type: 'heartbeat_ack' });
    connection.request('r2', { timeoutMs: 'long', payload: { ['__proto__']: 1 } });
    expect(await connection.next('request_result')).toMatchObject({ requestId: 'r2', data: 'fine' });
    expect(worker.state).toBe('connected');
    expect(worker.log.contexts('Malformed message from server')).toEqual([
      { type: 'request', field: 'requestId' },
      { type: 'request', field: 'attempt' },
      { type: 'request', field: 'attempt' },
      { type: 'request_cancel', field: 'requestId' },
    ]);
    expect(worker.log.all('Invalid JSON message from server')).toHaveLength(2);
    expect(worker.log.all('Message from server has no type')).toHaveLength(5);
  });

  test('a frame that holds no UTF-8 costs the connection, and the worker comes back', async () => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, { isolate });
    connection.ws._socket.write(Buffer.from([0x81, 0x02, 0xff, 0xff]));
    await connection.closed;
    await server.connection();
    await stateOf(worker, 'connected');
  });
});
