'use strict';

// Each line of the table of errors, as a client sees it.

const { CHAT, ask, get, startGateway } = require('./support/gateway.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

/** What every error has in common; with `Retry-After` there where it belongs. */
function expectError(answer, [status, type, code], { param = null, message = expect.stringMatching(/./) } = {}) {
  const { headers, json } = answer;
  expect([answer.status, json]).toEqual([status, { error: { message, type, param, code } }]);
  expect(headers['content-type']).toBe('application/json');
  expect(headers['x-request-id']).toMatch(/./);
  const mayTryAgain = status === 429 || status === 503 || code === 'queue_timeout';
  expect(headers['x-should-retry']).toBe(String(mayTryAgain));
  if (status === 429 || status === 503) expect(headers['retry-after']).toMatch(/^[1-9]\d*$/);
  else expect(headers['retry-after']).toBeUndefined();
}

describe('what is wrong with the request', () => {
  test.each([
    ['not JSON', '{"model":'],
    ['nothing', ''],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['two values', '{"model":"m"} {}'],
  ])('a body that is %s', async (_what, body) => {
    const { port } = await startGateway();
    expectError(await ask(port, { body }), [400, 'invalid_request_error', null]);
  });

  test.each([
    [''],
    ['text/plain'],
    ['application/jsonp'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data'],
  ])('the Content-Type %s', async (type) => {
    const { port } = await startGateway();
    const answer = await ask(port, { headers: { 'Content-Type': type } });
    expectError(answer, [400, 'invalid_request_error', null]);
  });

  test.each([['application/json; charset=utf-8'], ['Application/JSON'], ['application/json ;charset="utf-8"']])(
    'the Content-Type %s is right',
    async (type) => {
      const { port } = await startGateway();
      expect((await ask(port, { headers: { 'Content-Type': type } })).status).toBe(404);
    },
  );

  test.each([[{}], [{ model: '' }], [{ model: 5 }], [{ model: null }], [[{ model: 'm' }]], ['null'], ['5'], ['"m"']])(
    'no model in %j',
    async (body) => {
      const { port } = await startGateway();
      expectError(await ask(port, { body }), [400, 'invalid_request_error', 'missing_model'], { param: 'model' });
    },
  );

  test('a model that no registered worker has', async () => {
    const { server, port } = await startGateway();
    expectError(await ask(port), [404, 'invalid_request_error', 'model_not_found']);
    await connectRequestWorker(server, 'w', { models: ['m-large'] });
    expectError(await ask(port), [404, 'invalid_request_error', 'model_not_found']);
    expectError(await ask(port, { body: { model: 'm', stream: true } }), [
      404,
      'invalid_request_error',
      'model_not_found',
    ]);
    expectError(await get(port, '/v1/models/m'), [404, 'invalid_request_error', 'model_not_found']);
  });

  test('a body that is deeper than can be written as JSON', async () => {
    const { server, port } = await startGateway();
    await connectRequestWorker(server);
    const depth = 1_000_000;
    const body = `{"model":"m","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expectError(await ask(port, { body }), [400, 'invalid_request_error', null]);
  });
});

describe.each([false, true])('what becomes of the work, with stream: %s', (stream) => {
  const body = { model: 'm', stream };

  test('nothing may wait', async () => {
    const { server, port } = await startGateway({}, { queue: { maxSize: 0 } });
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    const first = ask(port, { body: { model: 'm' } });
    const running = await worker.nextRequest();
    expectError(await ask(port, { body }), [429, 'rate_limit_error', 'queue_full']);
    worker.answer(running, 'result', { data: {} });
    await first;
  });

  test('more than may wait do', async () => {
    const { server, port } = await startGateway({}, { queue: { maxSize: 1 } });
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    const answers = [ask(port), ask(port)];
    const running = await worker.nextRequest();
    await until(() => server.getQueueInfo().size === 1);
    expectError(await ask(port, { body }), [429, 'rate_limit_error', 'queue_full']);
    worker.answer(running, 'result', { data: {} });
    worker.answer(await worker.nextRequest(), 'result', { data: {} });
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('no worker could ever take it', async () => {
    const { server, port } = await startGateway({}, { queue: { whenNoWorker: 'fail' } });
    await connectRequestWorker(server, 'w', { slots: 0 });
    expectError(await ask(port, { body }), [503, 'server_error', 'no_worker']);
  });

  test('no slot was free in time', async () => {
    const { server, port } = await startGateway({}, { queue: { timeoutMs: 20 } });
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    ask(port).catch(() => {});
    await worker.nextRequest();
    expectError(await ask(port, { body }), [504, 'timeout_error', 'queue_timeout']);
  });

  test('it took too long', async () => {
    const { server, port } = await startGateway({ options: () => ({ timeoutMs: 20 }) });
    const worker = await connectRequestWorker(server);
    expectError(await ask(port, { body }), [504, 'timeout_error', 'timeout']);
    expect((await worker.next('request_cancel')).reason).toBe('timeout');
  });

  test('the worker was lost', async () => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const answer = ask(port, { body });
    await worker.nextRequest();
    worker.ws.terminate();
    expectError(await answer, [502, 'server_error', 'worker_lost']);
  });

  test('the worker said that it failed', async () => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const answer = ask(port, { body });
    worker.answer(await worker.nextRequest(), 'error', { error: { message: 'out of memory', code: 'OOM' } });
    expectError(await answer, [502, 'server_error', 'worker_error'], { message: 'out of memory' });
  });

  test('the server drains or stops', async () => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const running = ask(port, { body });
    await worker.nextRequest();
    server.drain();
    expectError(await ask(port, { body }), [503, 'server_error', 'server_stopping']);
    server.stop();
    expectError(await running, [503, 'server_error', 'server_stopping']);
  });

  test.each([
    [400, { error: { message: 'too long', type: 'invalid_request_error', param: 'messages', code: 'context_length' } }],
    [429, { error: { message: 'slow down' } }],
    [503, { anything: ['else'] }],
    [599, null],
    [404, 'no such thing'],
  ])('the worker has worded the error itself, with status %i', async (status, said) => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const answer = ask(port, { body });
    worker.answer(await worker.nextRequest(), 'error', { error: { message: 'x', data: { status, body: said } } });
    const got = await answer;
    expect([got.status, typeof said === 'string' ? got.text : got.json]).toEqual([status, said]);
    expect(got.headers['x-request-id']).toMatch(/./);
    expect(got.headers['x-should-retry']).toBe(String(status === 429 || status === 503));
    expect(got.headers['retry-after']).toBe(status === 429 || status === 503 ? '1' : undefined);
  });

  test.each([
    [{ status: 200, body: {} }],
    [{ status: 600, body: {} }],
    [{ status: '400', body: {} }],
    [{ status: 400.5, body: {} }],
    [{ status: 400 }],
    [null],
    ['text'],
    [5],
  ])('the worker’s data %j words no error', async (data) => {
    const { server, port } = await startGateway();
    const worker = await connectRequestWorker(server);
    const answer = ask(port, { body });
    worker.answer(await worker.nextRequest(), 'error', { error: { message: 'x', data } });
    expectError(await answer, [502, 'server_error', 'worker_error'], { message: 'x' });
  });
});

test('a worker that knows no requests has the model, but can’t take it', async () => {
  const { server, port } = await startGateway({}, { queue: { whenNoWorker: 'fail' } });
  await connectRequestWorker(server, 'w', { features: [] });
  expectError(await ask(port), [503, 'server_error', 'no_worker']);
});

test('the guess of the server is the Retry-After, in whole seconds', async () => {
  const { server, port } = await startGateway();
  await connectRequestWorker(server);
  const guess = (retryAfterMs) => async () =>
    Promise.reject(Object.assign(new Error('x'), { name: 'WorkerRequestError', code: 'NO_WORKER', retryAfterMs }));
  for (const [retryAfterMs, seconds] of [
    [1, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [90_000, '90'],
  ]) {
    server.request = guess(retryAfterMs);
    expect((await ask(port)).headers['retry-after']).toBe(seconds);
  }
});

test('an error that the gateway does not know is logged, and no matter of the client’s', async () => {
  const { server, port, log } = await startGateway();
  await connectRequestWorker(server);
  server.request = async () => {
    throw new Error('in the innermost');
  };
  const answer = await ask(port, { path: CHAT });
  expectError(answer, [500, 'server_error', 'internal_error']);
  expect(answer.text).not.toMatch(/innermost/);
  expect(log.contexts('Error in gateway')).toEqual([{ error: 'in the innermost' }]);
});
