'use strict';

// A connection is lost and another one resumes its requests.

const { CAPABILITIES, EACH_WAY, aborted, deferred, stateOf } = require('./support/workers.js');
const { pushed, resumeWith, startWorker } = require('./support/resume.js');

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const start = (...args) => startWorker(isolate, ...args);

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
