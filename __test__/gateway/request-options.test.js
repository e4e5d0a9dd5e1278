'use strict';

// The option `options`: what the application says about each request.

const { ask, open, openStream, startGateway } = require('./support/gateway.js');
const { connectRequestWorker } = require('../support/request-worker.js');

async function gatewayWith(options, serverOptions) {
  const { server, port, log } = await startGateway({ options }, serverOptions);
  const worker = await connectRequestWorker(server, 'w', { models: ['m', 'other-large'] });
  return { server, port, log, worker };
}

/** The answer to a request that the worker completes, and what the worker was sent. */
async function completed(port, worker, request) {
  const answer = ask(port, request);
  const asked = await worker.nextRequest();
  worker.answer(asked, 'result', { data: {} });
  return { answer: await answer, asked };
}

test('it gets the request and its body, may take its time, and what it returns goes over the defaults', async () => {
  const seen = [];
  const { port, worker } = await gatewayWith(async (req, body) => {
    seen.push([req.url, body]);
    await new Promise(setImmediate);
    return { category: 'c', timeoutMs: 5_000, requestId: 'mine', fairKey: undefined, model: undefined };
  });
  const { answer, asked } = await completed(port, worker);
  expect(seen).toEqual([['/v1/chat/completions', { model: 'm' }]]);
  expect(asked).toMatchObject({ requestId: 'mine', category: 'c', model: 'm' });
  expect(asked.timeoutMs).toBeLessThanOrEqual(5_000);
  expect(answer.headers['x-request-id']).toBe('mine');
});

test.each([[undefined], [null], [{}]])('%j leaves the defaults', async (given) => {
  const { port, worker } = await gatewayWith(() => given);
  expect((await completed(port, worker)).answer.status).toBe(200);
});

test('it can ask for another model, which then must be there, in its own way of matching', async () => {
  const { port, worker } = await gatewayWith((req, body) =>
    body.loose ? { model: 'other', modelMatch: 'loose' } : { model: body.other },
  );
  const { asked } = await completed(port, worker, { body: { model: 'alias', other: 'other-large' } });
  expect([asked.model, asked.payload.body.model]).toEqual(['other-large', 'alias']);
  expect((await completed(port, worker, { body: { model: 'alias', loose: true } })).asked.model).toBe('other');
  const missing = await ask(port, { body: { model: 'm', other: 'other' } });
  expect([missing.status, missing.json.error.code]).toEqual([404, 'model_not_found']);
});

test('an id that no header can carry is not given back', async () => {
  const { port, worker } = await gatewayWith(() => ({ requestId: 'größer\r\n' }));
  const { answer, asked } = await completed(port, worker);
  expect(asked.requestId).toBe('größer\r\n');
  expect(answer.headers['x-request-id']).toMatch(/^[\da-f-]{36}$/);
});

test('an id that is under way is refused', async () => {
  const { port, worker } = await gatewayWith(() => ({ requestId: 'same' }));
  const first = ask(port);
  const asked = await worker.nextRequest();
  const { status, json, headers } = await ask(port);
  expect([status, json.error.code, headers['x-should-retry']]).toEqual([409, 'duplicate_id', 'false']);
  worker.answer(asked, 'result', { data: {} });
  expect((await first).status).toBe(200);
});

test.each([
  ['a throw', () => { throw new Error('broken'); }, 'broken'], // prettier-ignore
  ['a rejection', async () => { throw new Error('broken'); }, 'broken'], // prettier-ignore
  ['a value thrown', async () => { throw 'text'; }, 'text'], // prettier-ignore
  ['a status that is no refusal', () => { throw Object.assign(new Error('broken'), { status: 503 }); }, 'broken'], // prettier-ignore
  ['what is no object', () => 'x', expect.stringMatching(/object/)],
  ['a wrong option', () => ({ timeoutMs: -1 }), expect.stringMatching(/^options\.timeoutMs must be/)],
  ['a wrong id', () => ({ requestId: 5 }), expect.stringMatching(/^options\.requestId must be/)],
  ['what is no signal', () => ({ signal: new AbortController() }), expect.stringMatching(/^options\.signal must be/)],
  ['a wrong model', () => ({ model: 5 }), expect.stringMatching(/^options\.model must be/)],
])('%s is answered with 500, and logged', async (_what, options, error) => {
  const { port, log } = await gatewayWith(options);
  for (const stream of [false, true]) {
    log.lines.length = 0;
    const { status, json, headers } = await ask(port, { body: { model: 'm', stream } });
    expect([status, headers['x-should-retry']]).toEqual([500, 'false']);
    expect(json.error).toEqual({
      message: 'Internal server error',
      type: 'server_error',
      param: null,
      code: 'internal_error',
    });
    expect(log.all('Error in gateway options')).toEqual([
      { level: 'error', message: 'Error in gateway options', context: { error } },
    ]);
  }
});

test.each([
  [400, 'invalid_request_error', undefined],
  [402, 'invalid_request_error', undefined],
  [429, 'rate_limit_error', '7'],
  [499, 'invalid_request_error', undefined],
])('a throw with status %i is that, in the words of the application, and logged', async (status, type, retryAfter) => {
  const { port, log } = await gatewayWith(() => {
    throw Object.assign(new Error('no credit'), { status, code: 'credit', param: 'user', retryAfterMs: 6_001 });
  });
  const answer = await ask(port);
  expect(answer.status).toBe(status);
  expect(answer.json).toEqual({ error: { message: 'no credit', type, param: 'user', code: 'credit' } });
  expect(answer.headers['retry-after']).toBe(retryAfter);
  expect(answer.headers['x-should-retry']).toBe(String(status === 429));
  expect(log.contexts('Error in gateway options')).toEqual([{ error: 'no credit' }]);
});

describe('a signal', () => {
  test.each([
    [new Error('mine'), 500, 'aborted'],
    [Object.assign(new Error('mine'), { status: 403, code: 'blocked' }), 403, 'blocked'],
    [new DOMException('late', 'TimeoutError'), 504, 'timeout'],
  ])('that aborts with %s ends the request with %i', async (reason, status, code) => {
    const abort = new AbortController();
    const { port, worker } = await gatewayWith(() => ({ signal: abort.signal }));
    const answer = ask(port);
    await worker.nextRequest();
    abort.abort(reason);
    const { json, ...got } = await answer;
    expect([got.status, json.error.code, got.headers['x-should-retry']]).toEqual([status, code, 'false']);
    expect((await worker.next('request_cancel')).reason).toBe('aborted');
    const again = await ask(port);
    expect([again.status, again.json.error.code]).toEqual([status, code]);
  });

  test('ends a stream that has begun with an event', async () => {
    const abort = new AbortController();
    const { port, worker } = await gatewayWith(() => ({ signal: abort.signal }));
    const opened = openStream(port);
    worker.answer(await worker.nextRequest(), 'chunk', { seq: 0, data: 'a' });
    const res = await opened;
    abort.abort(new DOMException('late', 'TimeoutError'));
    let text = '';
    for await (const data of res) text += data;
    expect(text).toMatch(/^event: error\ndata: {"error":{.*"code":"timeout"}}\n\n$/m);
  });

  test('is joined with the client’s leaving, and is let go with the request', async () => {
    const { signal } = new AbortController();
    const listeners = new Set();
    const { addEventListener: add, removeEventListener: remove } = signal;
    signal.addEventListener = (type, listener) => (listeners.add(listener), add.call(signal, type, listener));
    signal.removeEventListener = (type, listener) => (listeners.delete(listener), remove.call(signal, type, listener));
    const { port, worker } = await gatewayWith(() => ({ signal }));
    const opened = open(port, { body: { model: 'm', stream: true } });
    worker.answer(await worker.nextRequest(), 'chunk', { seq: 0, data: 'a' });
    expect(listeners.size).toBe(1);
    (await opened).destroy();
    expect((await worker.next('request_cancel')).reason).toBe('aborted');
    expect(listeners.size).toBe(0);
  });
});
