'use strict';

// How long a worker that rejected a request does not get it again. Chance is given.

const { startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');

/** A timer of Node's may be early by a part of a millisecond, as another clock sees it. */
const EARLY_MS = 2;

afterEach(() => jest.restoreAllMocks());

/** The times between rejections, in ms, and the sending that follows each; the only worker rejects `count` times. */
async function pausesAfter(count, random) {
  jest.spyOn(Math, 'random').mockReturnValue(random);
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const answer = server.request({});
  const pauses = [];
  let request = await worker.nextRequest();
  for (let rejected = 0; rejected < count; rejected += 1) {
    const before = performance.now();
    worker.answer(request, 'reject', { reason: 'busy' });
    request = await worker.nextRequest();
    pauses.push(performance.now() - before);
  }
  worker.answer(request, 'result', { data: request.attempt });
  expect(await answer).toBe(count + 1);
  return pauses;
}

test('the longest pause is 50 ms, and twice as long with each rejection', async () => {
  const pauses = await pausesAfter(3, 1 - Number.EPSILON);
  [50, 100, 200].forEach((longest, at) => expect(pauses[at]).toBeGreaterThanOrEqual(longest - EARLY_MS));
});

test('the shortest is none: with full jitter it may get it again at once', async () => {
  expect(await pausesAfter(10, 0)).toHaveLength(10);
});

test('while it pauses, a worker that joins gets it at once, and the one that rejected it something else', async () => {
  jest.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON);
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 1 });
  const order = [];
  const ask = (requestId) =>
    server.request({}, { requestId, onStarted: ({ id }, attempt) => order.push([requestId, id, attempt]) });
  const answers = [ask('a'), ask('b')];
  worker.answer(await worker.nextRequest(), 'reject', { reason: 'busy' });
  const other = await worker.nextRequest();
  const joined = await connectRequestWorker(server, 'joined', { slots: 1 });
  joined.answer(await joined.nextRequest(), 'result', { data: 1 });
  worker.answer(other, 'result', { data: 2 });
  expect(await Promise.all(answers)).toEqual([1, 2]);
  expect(order).toEqual([
    ['a', 'w', 1],
    ['b', 'w', 1],
    ['a', 'joined', 2],
  ]);
});
