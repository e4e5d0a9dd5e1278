'use strict';

const { ask, get, startGateway } = require('./support/gateway.js');
const { request } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');

const ids = ({ json }) => json.data.map(({ id }) => id);

test('the models are those of available and busy workers, once each, sorted', async () => {
  const { server, port } = await startGateway();
  expect((await get(port, '/v1/models')).json).toEqual({ object: 'list', data: [] });
  await connectRequestWorker(server, 'a', { models: ['zeta', 'beta'] });
  await connectRequestWorker(server, 'b', { models: ['beta', 'Alpha'], slots: 1 });
  await connectRequestWorker(server, 'c', { models: ['gone'] });
  server.setWorkerStatus('c', 'draining');
  server.trackRequest('b', 'r');
  const answer = await get(port, '/v1/models?limit=1');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json');
  expect(answer.headers['x-request-id']).toMatch(/./);
  expect(ids(answer)).toEqual(['Alpha', 'beta', 'zeta']);
  const now = Date.now() / 1000;
  for (const model of answer.json.data) {
    expect(model).toEqual({ id: model.id, object: 'model', created: expect.any(Number), owned_by: expect.any(String) });
    expect(Number.isInteger(model.created)).toBe(true);
    expect(Math.abs(model.created - now)).toBeLessThan(60);
  }
});

test('a model is found by its id, with its slashes encoded or not', async () => {
  const { server, port } = await startGateway();
  await connectRequestWorker(server, 'w', { models: ['org/model:7b', 'm'] });
  for (const path of ['org/model:7b', 'org%2Fmodel%3A7b', 'org/model:7b?x=1']) {
    const { status, json } = await get(port, `/v1/models/${path}`);
    expect([status, json.id, json.object]).toEqual([200, 'org/model:7b', 'model']);
  }
  for (const path of ['other', 'org', '%', 'm/', '__proto__']) {
    const { status, json } = await get(port, `/v1/models/${path}`);
    expect([status, json.error.code]).toEqual([404, 'model_not_found']);
  }
});

test.each([
  ['/v1/chat/completions'],
  ['/v1/completions'],
  ['/v1/embeddings'],
  ['/v1/responses'],
  ['/v1/chat/completions?api-version=1'],
])('POST %s passes a worker the path behind the prefix and the body, and its result is the answer', async (path) => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server);
  const body = {
    model: 'm',
    messages: [{ role: 'user', content: 'größer 🙂' }],
    tools: [{ type: 'function' }],
    n: null,
  };
  const answer = ask(port, { path, body });
  const asked = await worker.nextRequest();
  expect(asked.payload).toEqual({ path: path.slice(3).split('?')[0], body });
  expect([asked.model, asked.stream]).toEqual(['m', false]);
  worker.answer(asked, 'result', { data: { id: 'x', text: 'größer' } });
  const { status, headers, json } = await answer;
  expect([status, headers['content-type'], json]).toEqual([200, 'application/json', { id: 'x', text: 'größer' }]);
  expect(headers['x-request-id']).toBe(asked.requestId);
  expect(headers['x-should-retry']).toBeUndefined();
});

test('a result that is missing is null', async () => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server);
  const answer = ask(port);
  worker.answer(await worker.nextRequest(), 'result');
  expect((await answer).text).toBe('null');
});

test('models are matched exactly, whatever the server does', async () => {
  const { server, port } = await startGateway({}, { modelMatch: 'loose' });
  await connectRequestWorker(server, 'w', { models: ['model-large'] });
  expect((await ask(port, { body: { model: 'model' } })).status).toBe(404);
});

test.each([
  ['GET', '/v1/chat/completions', 'POST'],
  ['PUT', '/v1/completions', 'POST'],
  ['DELETE', '/v1/embeddings', 'POST'],
  ['OPTIONS', '/v1/responses', 'POST'],
  ['POST', '/v1/models', 'GET'],
  ['DELETE', '/v1/models/m', 'GET'],
])('%s %s is answered with 405 and what is allowed', async (method, path, allowed) => {
  const { port } = await startGateway();
  const { status, headers, json } = await ask(port, { method, path });
  expect([status, headers.allow, headers['x-should-retry']]).toEqual([405, allowed, 'false']);
  expect(json.error).toEqual({
    message: expect.any(String),
    type: 'invalid_request_error',
    param: null,
    code: expect.any(String),
  });
  expect(headers['x-request-id']).toMatch(/./);
});

test('what is no route of its own is left to other handlers', async () => {
  const { server, port } = await startGateway();
  server.addHttpHandler((req, res) => {
    res.end(`other ${req.url}`);
    return true;
  });
  for (const path of [
    '/v1',
    '/v1/',
    '/v1/models/',
    '/v1/files',
    '/v1/chat',
    '/v1/chat/completions/',
    '/v2/models',
    '/',
  ]) {
    expect((await get(port, path)).text).toBe(`other ${path}`);
  }
});

test.each([
  ['/openai/v1', '/openai/v1/models'],
  ['/openai/v1/', '/openai/v1/models'],
  ['/', '/models'],
])('the prefix can be %s', async (path, models) => {
  const { port } = await startGateway({ path });
  expect((await get(port, models)).json.object).toBe('list');
  expect((await get(port, '/v1/models')).status).toBe(404);
});

test('a target in absolute form is a path too', async () => {
  const { port } = await startGateway();
  expect((await request(port, { path: 'http://example.com/v1/models' })).status).toBe(200);
});
