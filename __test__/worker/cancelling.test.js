'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const { EACH_WAY, aborted, connectedWorker, deferred } = require('./support/workers.js');

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const start = async (options) => {
    const server = await startDifficultServer();
    return connectedWorker(server, { isolate, ...options });
  };

  test('a higher attempt is a request of its own, and the older one is aborted', async () => {
    const reasons = [];
    const { connection } = await start({
      handler: async (_payload, { attempt, signal }) => {
        if (attempt === 2) return 'second';
        reasons.push(await aborted(signal));
        return 'first';
      },
    });
    connection.request('r1');
    await connection.next('request_ack');
    connection.request('r1', { attempt: 2 });
    expect(await connection.next('request_result')).toMatchObject({ attempt: 2, data: 'second' });
    expect(reasons.map(({ code }) => code)).toEqual(['SUPERSEDED']);
  });

  test('after a cancel the last word is CANCELLED, when the handler has returned', async () => {
    const gate = deferred();
    let reason;
    const { connection } = await start({
      handler: async (_payload, { signal, progress }) => {
        reason = await aborted(signal);
        progress('ignored');
        await gate.promise;
        return 'too late';
      },
    });
    connection.request('r1');
    await connection.next('request_ack');
    connection.cancel('r1', 'aborted');
    connection.request('r2');
    connection.cancel('r2', 'timeout');
    await connection.next('request_ack', 'r2');
    expect(connection.about('r1')).toEqual([]);
    gate.resolve();
    const { error } = await connection.next('request_error', 'r1');
    expect(error).toMatchObject({ code: 'CANCELLED', message: expect.stringContaining('aborted') });
    expect(connection.about('r1')).toHaveLength(1);
    expect(reason).toBeInstanceOf(Error);
    await connection.next('request_error', 'r2');
    expect(reason.code).toBe('TIMEOUT');
  });

  test('a cancel without an attempt number means each attempt', async () => {
    const codes = [];
    const { connection } = await start({
      handler: async (_payload, { signal }) => codes.push((await aborted(signal)).code),
    });
    connection.request('r1');
    connection.send({ type: 'request_cancel', requestId: 'r1', reason: 'unknown' });
    await connection.next('request_error', 'r1');
    expect(codes).toEqual(['UNKNOWN']);
  });

  test('a cancelled generator is ended where it stands', async () => {
    const gone = deferred();
    const started = deferred();
    const { connection } = await start({
      async *handler() {
        try {
          for (let n = 0; ; n += 1) {
            yield n;
            started.resolve();
          }
        } finally {
          gone.resolve();
        }
      },
    });
    connection.request('r1', { stream: true });
    await started.promise;
    connection.cancel('r1', 'aborted');
    await gone.promise;
    expect((await connection.next('request_error')).error.code).toBe('CANCELLED');
    const messages = connection.about('r1');
    expect(messages.at(-1).type).toBe('request_error');
  });

  test('when the time is up the signal aborts with TIMEOUT', async () => {
    let left;
    const { connection } = await start({
      handler: async (_payload, { signal, remainingMs }) => {
        const reason = await aborted(signal);
        left = remainingMs();
        throw reason;
      },
    });
    connection.request('r1', { timeoutMs: 30 });
    expect((await connection.next('request_error')).error).toMatchObject({ code: 'TIMEOUT' });
    expect(left).toBe(0);
  });
});
