'use strict';

const { nextData, open, openStream, startGateway } = require('./support/gateway.js');
const { readAll } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

/** A stream that a worker has been given: what it was sent, and the answer to come. */
async function streaming({ path = '/v1/chat/completions', limits } = {}) {
  const { server, port, log } = await startGateway({}, { limits });
  const worker = await connectRequestWorker(server);
  const opened = openStream(port, {}, { path });
  const asked = await worker.nextRequest();
  const chunk = (seq, data) => worker.answer(asked, 'chunk', { seq, data });
  const text = async () => (await readAll(await opened)).toString();
  return { server, port, log, worker, opened, asked, chunk, text };
}

test('each chunk is an event, and the stream ends with [DONE]', async () => {
  const { worker, asked, chunk, opened } = await streaming();
  expect(asked.stream).toBe(true);
  const chunks = [{ text: 'größer\n\n🙂' }, 'text', 5, null, ['a']];
  chunks.forEach((data, seq) => chunk(seq, data));
  worker.answer(asked, 'chunk', { seq: chunks.length });
  worker.answer(asked, 'result', { data: 'not looked at' });
  const res = await opened;
  expect(res.statusCode).toBe(200);
  expect(res.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    'x-request-id': asked.requestId,
  });
  const events = [...chunks, null].map((data) => `data: ${JSON.stringify(data)}\n\n`);
  expect((await readAll(res)).toString()).toBe(`${events.join('')}data: [DONE]\n\n`);
});

test.each([
  ['/v1/completions', 'data: {"type":"t"}\n\ndata: {}\n\ndata: [DONE]\n\n'],
  ['/v1/embeddings', 'data: {"type":"t"}\n\ndata: {}\n\n'],
  ['/v1/responses', 'event: t\ndata: {"type":"t"}\n\ndata: {}\n\n'],
])('the events of %s are written as its clients read them', async (path, expected) => {
  const { worker, asked, chunk, text } = await streaming({ path });
  chunk(0, { type: 't' });
  chunk(1, {});
  worker.answer(asked, 'result');
  expect(await text()).toBe(expected);
});

test('a type that is no name names no event', async () => {
  const { worker, asked, chunk, text } = await streaming({ path: '/v1/responses' });
  ['a\ndata: x', 'a\rb', '', 5, null].forEach((type, seq) => chunk(seq, { type }));
  worker.answer(asked, 'result');
  expect(await text()).not.toMatch(/^event|^data: x/m);
});

test('each event leaves at once', async () => {
  const { worker, asked, chunk, opened } = await streaming();
  chunk(0, 'a');
  const res = await opened;
  const read = nextData(res, (text) => text.includes('[DONE]'));
  worker.answer(asked, 'result');
  expect(await read).toBe('data: "a"\n\ndata: [DONE]\n\n');
});

test('a stream that ends without a chunk is answered as plain JSON', async () => {
  const { worker, asked, opened } = await streaming();
  worker.answer(asked, 'result', { data: { id: 'x' } });
  const res = await opened;
  expect([res.statusCode, res.headers['content-type']]).toEqual([200, 'application/json']);
  expect((await readAll(res)).toString()).toBe('{"id":"x"}');
});

test.each([['true'], [1], [null], [{}]])('"stream": %j is no wish for a stream', async (stream) => {
  const { server, port } = await startGateway();
  const worker = await connectRequestWorker(server);
  const opened = open(port, { body: { model: 'm', stream } });
  const asked = await worker.nextRequest();
  expect(asked.stream).toBe(false);
  worker.answer(asked, 'result', { data: {} });
  expect((await opened).headers['content-type']).toBe('application/json');
});

test.each([
  [
    'that the worker reports',
    (worker, asked) => worker.answer(asked, 'error', { error: { message: 'x' } }),
    'worker_error',
  ],
  ['that is the loss of the worker', (worker) => worker.ws.terminate(), 'worker_lost'],
  ['that is a wrong number', (worker, asked) => worker.answer(asked, 'chunk', { seq: 7 }), 'worker_error'],
])('an error %s after the head is an event behind the chunks that came, and the end', async (_what, fail, code) => {
  const { worker, asked, chunk, opened } = await streaming();
  chunk(0, 'a');
  const res = await opened;
  fail(worker, asked);
  const [first, error, ...rest] = (await readAll(res)).toString().split('\n\n');
  expect([first, rest]).toEqual(['data: "a"', ['']]);
  const [, json] = /^event: error\ndata: (.*)$/.exec(error);
  expect(JSON.parse(json)).toEqual({ error: { message: expect.any(String), type: 'server_error', param: null, code } });
});

test('so is one that the worker has worded itself, and the end of the server', async () => {
  const { worker, asked, chunk, opened } = await streaming();
  chunk(0, 'a');
  await opened;
  const body = { error: { message: 'filtered\nout' } };
  worker.answer(asked, 'error', { error: { message: 'x', data: { status: 400, body } } });
  expect((await readAll(await opened)).toString()).toBe(`data: "a"\n\nevent: error\ndata: ${JSON.stringify(body)}\n\n`);

  const other = await streaming();
  other.chunk(0, 'a');
  const res = await other.opened;
  const text = readAll(res);
  await other.server.stop();
  expect((await text).toString()).toMatch(/^data: "a"\n\nevent: error\ndata: {"error":.*"server_stopping"}}\n\n$/);
});

test('a client that is too far behind learns so when it reads on', async () => {
  const { server, worker, opened, chunk } = await streaming({ limits: { maxStreamBytes: 100_000 } });
  chunk(0, 'a');
  const res = await opened;
  res.pause();
  const big = 'x'.repeat(90_000);
  // Beyond what fits into the buffers of the system and of both ends.
  let seq = 1;
  while (server.getWorkerInfo()[0].activeRequests > 0) {
    for (let i = 0; i < 20; i += 1) chunk((seq += 1) - 1, big);
    await worker.sync();
    if (worker.frames.at(-1).includes('request_cancel')) break;
  }
  const text = (await readAll(res)).toString();
  expect(text).toMatch(/event: error\ndata: {"error":.*"stream_overflow"}}\n\n$/);
  await until(() => worker.frames.some((frame) => frame.includes('request_cancel')));
});
