'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const { EACH_WAY, connectedWorker, deferred } = require('./support/workers.js');

const MIB = 1024 * 1024;

/** Until a count that has begun grows no more: what the system's own buffers take is not known. */
async function standstill(count) {
  let before = -1;
  while (count() !== before || before === 0) {
    before = count();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  test('a generator is asked for no more while 1 MiB waits for the socket', async () => {
    const server = await startDifficultServer();
    const CHUNK = 64 * 1024;
    const TOTAL = 400;
    let yielded = 0;
    const { connection } = await connectedWorker(server, {
      isolate,
      async *handler() {
        for (; yielded < TOTAL; yielded += 1) yield 'x'.repeat(CHUNK);
        return yielded;
      },
    });
    connection.request('r1', { stream: true });
    await connection.next('request_ack');
    connection.goDeaf();
    await standstill(() => yielded);
    const taken = yielded;
    expect(taken).toBeLessThan(TOTAL);
    connection.hearAgain();
    expect(await connection.next('request_result')).toMatchObject({ data: TOTAL });
    const received = connection.messages.filter(({ type }) => type === 'request_chunk');
    expect(received.map(({ seq }) => seq)).toEqual(Array.from({ length: TOTAL }, (_value, n) => n));
  });

  test('nothing holds up a generator whose values are not sent', async () => {
    const server = await startDifficultServer();
    const { connection } = await connectedWorker(server, {
      isolate,
      async *handler() {
        for (let n = 0; n < 40; n += 1) yield 'x'.repeat(MIB);
        return 'end';
      },
    });
    connection.request('r1', { stream: false });
    expect(await connection.next('request_result')).toMatchObject({ data: 'end' });
    expect(connection.about('r1')).toHaveLength(1);
  });

  test('a generator that never waits for anything can be cancelled', async () => {
    const server = await startDifficultServer();
    const { connection } = await connectedWorker(server, {
      isolate,
      async *handler() {
        for (;;) yield 1;
      },
    });
    for (const stream of [true, false]) {
      connection.request(`stream ${stream}`, { stream });
      await connection.next('request_ack');
      connection.cancel(`stream ${stream}`, 'aborted');
      await connection.next('request_error', `stream ${stream}`);
    }
  });

  test('heartbeats and other answers do not wait behind a large result', async () => {
    const server = await startDifficultServer();
    const { connection } = await connectedWorker(server, { isolate, handler: (size) => 'é"\\\u2028'.repeat(size) });
    connection.request('r1', { payload: 4 * MIB });
    const { data } = await connection.next('request_result');
    expect(data === 'é"\\\u2028'.repeat(4 * MIB)).toBe(true);
  });

  test('many streams at once each arrive whole and in order', async () => {
    const server = await startDifficultServer();
    const { connection } = await connectedWorker(server, {
      isolate,
      capabilities: { models: [], maxConcurrentRequests: 50 },
      async *handler(payload) {
        for (let n = 0; n < 40; n += 1) {
          if (n % 7 === payload % 7) await new Promise((resolve) => setImmediate(resolve));
          yield `${payload}:${n}:${'x'.repeat(500)}`;
        }
        return payload;
      },
    });
    const ids = Array.from({ length: 50 }, (_value, n) => n);
    for (const id of ids) connection.request(`r${id}`, { stream: true, payload: id });
    await Promise.all(ids.map((id) => connection.next('request_result', `r${id}`)));
    for (const id of ids) {
      const chunks = connection.about(`r${id}`).filter(({ type }) => type === 'request_chunk');
      expect(chunks.map(({ seq, data }) => [seq, data.split(':').slice(0, 2).join(':')])).toEqual(
        chunks.map((_chunk, n) => [n, `${id}:${n}`]),
      );
      expect(chunks).toHaveLength(40);
    }
  });

  test('while it waits for room, a cancelled generator is ended', async () => {
    const server = await startDifficultServer({ heartbeatIntervalMs: 60_000 });
    const gone = deferred();
    let yielded = 0;
    const { connection } = await connectedWorker(server, {
      isolate,
      async *handler() {
        try {
          for (;;) {
            yielded += 1;
            yield 'x'.repeat(256 * 1024);
          }
        } finally {
          gone.resolve();
        }
      },
    });
    connection.request('r1', { stream: true });
    await connection.next('request_ack');
    connection.goDeaf();
    await standstill(() => yielded);
    connection.cancel('r1', 'timeout');
    await gone.promise;
    connection.hearAgain();
    await connection.next('request_error');
  });
});
