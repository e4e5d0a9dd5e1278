'use strict';

const fs = require('fs');
const http = require('http');
const { onCleanup } = require('../support/cleanup');
const { startServer, until } = require('../support/server');
const { startFlood, signalFile } = require('../support/fleet');
const { request, answering } = require('../support/http');

/** Does something for about this long, as handlers do. */
function work(microseconds) {
  const end = process.hrtime.bigint() + BigInt(microseconds * 1000);
  while (process.hrtime.bigint() < end);
}

test('I7: during a flood of 100,000 messages immediates and timers fire all the time', async () => {
  const { server, port } = await startServer();
  const messages = 25000;
  const total = 4 * messages;
  let count = 0;
  let turns = 0;
  let ticks = 0;
  let longest = 0;
  let sinceTurn = 0;
  const inOrder = new Map();
  let outOfOrder = 0;
  server.onWorkerMessage('flood', (worker, { seq }) => {
    if (seq !== (inOrder.get(worker.id) ?? 0)) outOfOrder += 1;
    inOrder.set(worker.id, seq + 1);
    count += 1;
    sinceTurn += 1;
    longest = Math.max(longest, sinceTurn);
    work(10);
  });
  const turn = () => {
    sinceTurn = 0;
    if (count > 0 && count < total) turns += 1;
    if (count < total) setImmediate(turn);
  };
  setImmediate(turn);
  const timer = setInterval(() => {
    if (count > 0 && count < total) ticks += 1;
  }, 1);
  const flood = await startFlood(port, { count: 4 });
  const file = signalFile();
  await flood.ask('flood', { messages, bytes: 100, file });
  fs.writeFileSync(`${file}.go`, '');
  await until(() => count >= total);
  clearInterval(timer);
  expect([count, outOfOrder]).toEqual([total, 0]);
  // The handlers alone take a second. A few milliseconds at a time are some hundred messages of this kind.
  expect(turns).toBeGreaterThan(50);
  expect(ticks).toBeGreaterThan(20);
  expect(longest).toBeLessThan(total / 20);
}, 60000);

/** Has one worker send `total` messages; what `handlerOf` makes handles them. Resolves with the most that began between two turns. */
async function longestOfFlood(total, handlerOf) {
  const { server, port } = await startServer();
  let count = 0;
  let sinceTurn = 0;
  let longest = 0;
  server.onWorkerMessage(
    'flood',
    handlerOf(() => {
      count += 1;
      sinceTurn += 1;
      longest = Math.max(longest, sinceTurn);
    }),
  );
  const turn = () => {
    sinceTurn = 0;
    if (count < total) setImmediate(turn);
  };
  setImmediate(turn);
  const flood = await startFlood(port, { count: 1 });
  const file = signalFile();
  await flood.ask('flood', { messages: total, bytes: 100, file });
  fs.writeFileSync(`${file}.go`, '');
  await until(() => count >= total);
  return longest;
}

test('I7: what handlers do after an await counts, too', async () => {
  const longest = await longestOfFlood(1000, (begin) => async () => {
    await null;
    begin();
    work(500);
  });
  // The first turn is a guess. Without learning from it they would all be handled in a few.
  expect(longest).toBeLessThanOrEqual(64);
}, 60000);

test('I7: when its time is up no further message begins, where one batch ends and the next begins neither', async () => {
  const longest = await longestOfFlood(600, (begin) => () => {
    begin();
    work(5000);
  });
  expect(longest).toBe(1);
}, 60000);

test('I7: HTTP requests of an open connection are answered during a flood', async () => {
  const { server, port } = await startServer({}, (unstarted) => unstarted.addHttpHandler(answering('here')));
  let count = 0;
  server.onWorkerMessage('flood', () => {
    count += 1;
    work(10);
  });
  const flood = await startFlood(port, { count: 2 });
  const file = signalFile();
  await flood.ask('flood', { messages: 50000, bytes: 100, file });
  fs.writeFileSync(`${file}.go`, '');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onCleanup(() => agent.destroy());
  await request(port, { agent });
  await until(() => count > 0);
  let answered = 0;
  while (count < 100000) {
    expect((await request(port, { agent })).text).toBe('here');
    answered += 1;
  }
  expect(answered).toBeGreaterThan(10);
}, 60000);
