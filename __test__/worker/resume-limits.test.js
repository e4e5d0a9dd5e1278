'use strict';

// What can not be resumed: chunks that are no longer kept, and messages that are too big for the server.

const { EACH_WAY, deferred, stateOf } = require('./support/workers.js');
const { pushed, resumeWith, startWorker } = require('./support/resume.js');

const MIB = 1024 * 1024;

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const start = (...args) => startWorker(isolate, ...args);

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
});
