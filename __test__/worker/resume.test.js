'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const { CAPABILITIES, EACH_WAY, aborted, connectedWorker, deferred, stateOf } = require('./support/workers.js');

const MIB = 1024 * 1024;

/** A handler that yields what a test pushes, and returns the value pushed with `end`. */
function pushed() {
  const values = [];
  let wake = deferred();
  const push = (value, end = false) => {
    values.push({ value, end });
    wake.resolve();
    wake = deferred();
  };
  async function* handler() {
    for (;;) {
      while (values.length === 0) await wake.promise;
      const { value, end } = values.shift();
      if (end) return value;
      yield value;
    }
  }
  return { handler, push };
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  /**
   * What the server says to a resume: an entry for each request that is named, by `nextSeqs`; the others are dropped.
   */
  function resumeWith(server, nextSeqs) {
    server.behaviour.ack = ({ resume }) => {
      if (resume === undefined) return server.ackOf();
      const wanted = resume.requests.filter(({ requestId }) => requestId in nextSeqs);
      return server.ackOf({
        resumed: wanted.map(({ requestId, attempt }) => ({ requestId, attempt, nextSeq: nextSeqs[requestId] })),
        dropped: resume.requests.filter(({ requestId }) => !(requestId in nextSeqs)).map(({ requestId }) => requestId),
      });
    };
  }

  async function start(options, serverOptions) {
    const server = await startDifficultServer(serverOptions);
    return { server, ...(await connectedWorker(server, { isolate, ...options })) };
  }

  test('a stream goes on from nextSeq over a line that is cut, with what was lost and what came meanwhile', async () => {
    const { handler, push } = pushed();
    const { server, worker, connection } = await start({ handler });
    resumeWith(server, { r1: 1 });
    connection.request('r1', { stream: true });
    for (const value of ['a', 'b', 'c']) push(value);
    while ((await connection.next('request_chunk')).seq < 2);
    await connection.cut();
    push('d');
    const second = await server.connection();
    expect(second.registration.resume).toEqual({
      sessionId: 'session-1',
      requests: [{ requestId: 'r1', attempt: 1, done: false }],
    });
    expect(Object.keys(second.registration).at(-1)).toBe('resume');
    await stateOf(worker, 'connected');
    push('e');
    push('end', true);
    await second.next('request_result');
    expect(second.about('r1').map(({ type, seq, data }) => [type, seq, data])).toEqual([
      ['request_chunk', 1, 'b'],
      ['request_chunk', 2, 'c'],
      ['request_chunk', 3, 'd'],
      ['request_chunk', 4, 'e'],
      ['request_result', undefined, 'end'],
    ]);
  });

  test('a result that was ready while there was no connection is sent with the next one', async () => {
    const gate = deferred();
    const returned = deferred();
    const { server, connection } = await start({
      handler: async () => {
        await gate.promise;
        setTimeout(returned.resolve, 20);
        return 42;
      },
      reconnect: { initialDelayMs: 300, maxDelayMs: 300 },
    });
    resumeWith(server, { r1: 0 });
    server.behaviour.upgrade = () => (returned.done ? undefined : 503);
    connection.request('r1');
    await connection.next('request_ack');
    await connection.cut();
    gate.resolve();
    await returned.promise;
    returned.done = true;
    const second = await server.connection();
    expect(second.registration.resume.requests).toEqual([{ requestId: 'r1', attempt: 1, done: true }]);
    expect(await second.next('request_result')).toEqual({
      type: 'request_result',
      requestId: 'r1',
      attempt: 1,
      data: 42,
    });
  });

  test('an end is kept until it is settled, and then no more', async () => {
    const { server, connection } = await start({ handler: (payload) => payload }, { settles: false });
    connection.request('r1', { payload: 1 });
    connection.request('r2', { payload: 2 });
    await connection.next('request_result', 'r1');
    await connection.next('request_result', 'r2');
    connection.send({ type: 'request_settled', requestId: 'r1', attempt: 1 });
    resumeWith(server, { r2: 0 });
    // Said and heard in order: once the answer to this is here, the settling has been heard.
    connection.request('r3');
    await connection.next('request_result', 'r3');
    connection.send({ type: 'request_settled', requestId: 'r3', attempt: 1 });
    connection.request('r4', { attempt: 1 });
    await connection.next('request_ack', 'r4');
    await connection.cut();
    const second = await server.connection();
    const named = second.registration.resume.requests.map(({ requestId, done }) => [requestId, done]);
    expect(named.filter(([id]) => id !== 'r4')).toEqual([['r2', true]]);
    expect(await second.next('request_result')).toMatchObject({ requestId: 'r2', data: 2 });
  });

  test('what the server drops is aborted, and what it does not mention too', async () => {
    const codes = {};
    const { server, connection } = await start({
      handler: async (_payload, { requestId, signal }) => {
        codes[requestId] = (await aborted(signal)).code;
      },
    });
    connection.request('r1');
    connection.request('r2');
    await connection.next('request_ack', 'r2');
    server.behaviour.ack = () =>
      server.ackOf({
        resumed: [null, { requestId: 'r9', attempt: 1, nextSeq: 0 }, { requestId: 'r2', attempt: 1, nextSeq: -1 }],
        dropped: ['r1'],
      });
    await connection.cut();
    const second = await server.connection();
    // Both slots become free again.
    await second.requestUntilTaken('r3');
    await second.requestUntilTaken('r4');
    expect(codes).toEqual({ r1: 'DISCONNECTED', r2: 'DISCONNECTED' });
    expect([...second.about('r1'), ...second.about('r2')]).toEqual([]);
  });

  test('without the feature resume a lost connection aborts all, and nothing of it is said later', async () => {
    const gate = deferred();
    const codes = [];
    const { server, connection } = await start(
      {
        handler: async (_payload, { signal }) => {
          if (codes.length > 0) return 'new';
          codes.push((await aborted(signal)).code);
          await gate.promise;
          return 'old';
        },
        capabilities: { ...CAPABILITIES, maxConcurrentRequests: 1 },
      },
      { features: ['request'] },
    );
    connection.request('r1');
    await connection.next('request_ack');
    await connection.cut();
    const second = await server.connection();
    expect('resume' in second.registration).toBe(false);
    // The old handler still runs: its slot is taken.
    second.request('r1');
    await second.next('request_reject');
    gate.resolve();
    const attempt = await second.requestUntilTaken('r1', { attempt: 2 });
    await second.next('request_result');
    expect(codes).toEqual(['DISCONNECTED']);
    expect(second.messages.filter(({ type }) => type === 'request_result')).toEqual([
      { type: 'request_result', requestId: 'r1', attempt, data: 'new' },
    ]);
  });

  test('a higher attempt resumes, a lower one of the same request is dropped', async () => {
    const gate = deferred();
    const { server, connection } = await start({
      handler: async (_payload, { attempt }) => {
        await gate.promise;
        return attempt;
      },
    });
    connection.request('r1');
    connection.request('r1', { attempt: 2 });
    await connection.next('request_ack');
    await connection.next('request_ack');
    server.behaviour.ack = () =>
      server.ackOf({ resumed: [{ requestId: 'r1', attempt: 2, nextSeq: 0 }], dropped: ['r1'] });
    await connection.cut();
    const second = await server.connection();
    expect(second.registration.resume.requests.map(({ attempt }) => attempt)).toEqual([1, 2]);
    gate.resolve();
    expect(await second.next('request_result')).toMatchObject({ attempt: 2, data: 2 });
    expect(second.about('r1')).toHaveLength(1);
  });

  test('of a stream the last 8 MiB are kept: older chunks can’t be resumed', async () => {
    const { handler, push } = pushed();
    const overflowed = deferred();
    const { server, connection } = await start({
      async *handler(payload, { signal }) {
        signal.addEventListener('abort', () => overflowed.resolve(signal.reason));
        return yield* handler(payload);
      },
    });
    connection.request('r1', { stream: true });
    for (let n = 0; n < 12; n += 1) push('x'.repeat(MIB - 100));
    while ((await connection.next('request_chunk')).seq < 11);
    resumeWith(server, { r1: 3 });
    await connection.cut();
    const second = await server.connection();
    expect((await second.next('request_error')).error).toMatchObject({ code: 'RESUME_OVERFLOW' });
    expect(second.about('r1')).toHaveLength(1);
    expect((await overflowed.promise).code).toBe('RESUME_OVERFLOW');
    push('end', true);
  });

  test('…and the newer ones can', async () => {
    const { handler, push } = pushed();
    const { server, connection } = await start({ handler });
    connection.request('r1', { stream: true });
    for (let n = 0; n < 12; n += 1) push('x'.repeat(MIB - 100));
    while ((await connection.next('request_chunk')).seq < 11);
    resumeWith(server, { r1: 4 });
    await connection.cut();
    const second = await server.connection();
    push('end', true);
    await second.next('request_result');
    expect(second.about('r1').map(({ seq }) => seq)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, undefined]);
  });

  test('a nextSeq beyond what was sent ends the request as well', async () => {
    const { handler, push } = pushed();
    const { server, connection } = await start({ handler });
    connection.request('r1', { stream: true });
    push('a');
    await connection.next('request_chunk');
    resumeWith(server, { r1: 5 });
    await connection.cut();
    const second = await server.connection();
    expect((await second.next('request_error')).error.code).toBe('RESUME_OVERFLOW');
    push('end', true);
  });

  test('a stream that overflows while there is no connection ends, alone', async () => {
    const quiet = pushed();
    const loud = pushed();
    const overflowed = deferred();
    const { server, worker, connection } = await start({
      async *handler(payload, { signal }) {
        if (payload === 'loud') signal.addEventListener('abort', () => overflowed.resolve(signal.reason));
        return yield* (payload === 'loud' ? loud : quiet).handler();
      },
    });
    let away = true;
    server.behaviour.upgrade = () => (away ? 503 : undefined);
    connection.request('loud', { stream: true, payload: 'loud' });
    connection.request('quiet', { stream: true, payload: 'quiet' });
    await connection.next('request_ack', 'quiet');
    await connection.cut();
    await stateOf(worker, 'connecting');
    quiet.push('still here');
    for (let n = 0; n < 10; n += 1) loud.push('x'.repeat(MIB));
    expect((await overflowed.promise).code).toBe('RESUME_OVERFLOW');
    resumeWith(server, { loud: 0, quiet: 0 });
    away = false;
    const second = await server.connection();
    expect(second.registration.resume.requests).toEqual([
      { requestId: 'loud', attempt: 1, done: true },
      { requestId: 'quiet', attempt: 1, done: false },
    ]);
    expect((await second.next('request_error', 'loud')).error.code).toBe('RESUME_OVERFLOW');
    expect(second.about('loud')).toHaveLength(1);
    quiet.push('done', true);
    loud.push('done', true);
    expect(await second.next('request_result', 'quiet')).toMatchObject({ data: 'done' });
    expect(second.about('quiet').map(({ data }) => data)).toEqual(['still here', 'done']);
  });

  test('a result that the server closes with 1009 for ends its request, and is not sent again', async () => {
    const { server, connection } = await start({ handler: (payload) => 'x'.repeat(payload) });
    resumeWith(server, { big: 0, small: 0 });
    server.behaviour.settles = false;
    connection.request('small', { payload: 10 });
    await connection.next('request_result', 'small');
    connection.request('big', { payload: MIB });
    const result = await connection.next('request_result', 'big');
    connection.close(1009, '');
    const second = await server.connection();
    expect((await second.next('request_error', 'big')).error).toEqual({
      code: 'MESSAGE_TOO_BIG',
      message: `The server takes no message of ${JSON.stringify(result).length} bytes`,
    });
    expect(second.about('big')).toHaveLength(1);
    expect(await second.next('request_result', 'small')).toMatchObject({ data: 'x'.repeat(10) });
  });

  test('a chunk that the server closes with 1009 for ends its stream, and the handler is aborted', async () => {
    const { handler, push } = pushed();
    const told = deferred();
    const { server, connection } = await start({
      async *handler(payload, { signal }) {
        signal.addEventListener('abort', () => told.resolve(signal.reason));
        return yield* handler(payload);
      },
    });
    resumeWith(server, { r1: 1 });
    connection.request('r1', { stream: true });
    push('small');
    push('x'.repeat(MIB));
    while ((await connection.next('request_chunk')).seq < 1);
    connection.close(1009, '');
    const second = await server.connection();
    expect((await second.next('request_error')).error.code).toBe('MESSAGE_TOO_BIG');
    expect(second.about('r1')).toHaveLength(1);
    expect((await told.promise).code).toBe('MESSAGE_TOO_BIG');
    push('end', true);
  });

  test('a close with 1009 for a message of the application ends no request', async () => {
    const { handler, push } = pushed();
    const { server, worker, connection } = await start({ handler });
    resumeWith(server, { r1: 1 });
    connection.request('r1', { stream: true });
    push('a');
    await connection.next('request_chunk');
    worker.send({ type: 'log', text: 'x'.repeat(MIB) });
    await connection.next('log');
    connection.close(1009, '');
    const second = await server.connection();
    push('end', true);
    expect(await second.next('request_result')).toMatchObject({ data: 'end' });
  });

  test('a connection that is lost before its ack resumes the same session again', async () => {
    const { handler, push } = pushed();
    const { server, connection } = await start({ handler });
    connection.request('r1', { stream: true });
    push('a');
    await connection.next('request_chunk');
    server.behaviour.ack = () => null;
    await connection.cut();
    const second = await server.connection();
    resumeWith(server, { r1: 0 });
    await second.cut();
    const third = await server.connection();
    expect(third.registration.resume).toEqual(second.registration.resume);
    push('end', true);
    await third.next('request_result');
    expect(third.about('r1').map(({ data }) => data)).toEqual(['a', 'end']);
  });

  test('a worker that has nothing under way names its old session all the same', async () => {
    const { server, connection } = await start();
    await connection.cut();
    const second = await server.connection();
    expect(second.registration.resume).toEqual({ sessionId: 'session-1', requests: [] });
  });

  test('cut again and again in the middle of a stream, each chunk arrives once and in order', async () => {
    const LAST = 400;
    const gate = deferred();
    const { server, connection } = await start({
      async *handler() {
        for (let n = 0; n < LAST; n += 1) {
          if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
          yield { n, fill: 'x'.repeat(1000) };
        }
        await gate.promise;
        return 'end';
      },
    });
    const received = [];
    server.behaviour.ack = ({ resume }) =>
      resume === undefined
        ? server.ackOf()
        : server.ackOf({ resumed: [{ requestId: 'r1', attempt: 1, nextSeq: received.length }], dropped: [] });
    const listen = (peer, until) =>
      new Promise((resolve) => {
        const take = (message) => {
          if (message.type === 'request_chunk' && message.seq === received.length) received.push(message.data.n);
          if (received.length >= until) resolve();
        };
        for (const message of peer.messages) take(message);
        peer.ws.on('message', (data) => take(JSON.parse(String(data))));
      });
    let peer = connection;
    peer.request('r1', { stream: true });
    for (let until = 60; until < LAST; until += 60) {
      await listen(peer, until);
      await peer.cut();
      peer = await server.connection();
    }
    await listen(peer, LAST);
    gate.resolve();
    expect(await peer.next('request_result')).toMatchObject({ data: 'end' });
    expect(received).toEqual(Array.from({ length: LAST }, (_value, n) => n));
    expect(server.upgrades.length).toBeGreaterThan(5);
  });
});
