'use strict';

// What a client of a stream receives while its worker sends nothing. All at the same time, since each lasts half a
// minute.

const { nextData, openStream, startGateway } = require('./support/gateway.js');
const { readAll } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');

let server;
let port;
let worker;

beforeEach(async () => {
  ({ server, port } = await startGateway());
  worker = await connectRequestWorker(server, 'w', { slots: 10 });
});

async function begin(user) {
  const opened = openStream(port, { user });
  return { opened, asked: await worker.nextRequest() };
}

test('after 15 s the head goes out, and with each 15 s of silence a comment', async () => {
  const { opened, asked } = await begin('silent');
  const early = await begin('begins at once');
  const failing = await begin('fails in the end');
  const empty = await begin('has no chunk');
  const late = await begin('has nothing at all');
  worker.answer(early.asked, 'chunk', { seq: 0, data: 'a' });
  const begun = Date.now();

  const res = await opened;
  expect([res.statusCode, res.headers['content-type']]).toEqual([200, 'text/event-stream']);
  // A timer is never early; how late it is, is no concern of this test.
  expect(Date.now() - begun).toBeGreaterThan(14_500);
  await nextData(res, (text) => text === ': ping\n\n: ping\n\n');
  expect(Date.now() - begun).toBeGreaterThan(29_500);

  const text = async ({ opened: other }) =>
    (await readAll(await other)).toString().replaceAll(/(: ping\n\n)+/g, ': ping\n\n');
  worker.answer(asked, 'result', { data: {} });
  worker.answer(early.asked, 'result', { data: {} });
  expect(await text(early)).toBe('data: "a"\n\n: ping\n\ndata: [DONE]\n\n');
  // It is too late for an answer of another kind, or another status.
  worker.answer(failing.asked, 'error', { error: { message: 'x', data: { status: 404, body: { error: 'none' } } } });
  expect(await text(failing)).toBe(': ping\n\nevent: error\ndata: {"error":"none"}\n\n');
  worker.answer(empty.asked, 'result', { data: { id: 'x' } });
  expect(await text(empty)).toBe(': ping\n\ndata: {"id":"x"}\n\ndata: [DONE]\n\n');
  worker.answer(late.asked, 'result');
  expect(await text(late)).toBe(': ping\n\ndata: null\n\ndata: [DONE]\n\n');
}, 60_000);
