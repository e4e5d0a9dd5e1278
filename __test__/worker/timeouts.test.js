'use strict';

// Long waits, on timers that the test moves on. The connection lives on the program's thread for that; sockets are
// real.

const { startTimer } = require('../../lib/time/timers.js');
const { startDifficultServer } = require('./support/difficult-server.js');
const { createWorker, deferred } = require('./support/workers.js');

/** Lets sockets do what they have to, without any timer. */
async function until(holds) {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'clearImmediate', 'queueMicrotask'] });
});
afterEach(() => {
  jest.useRealTimers();
});

function runWorker(server, options) {
  const worker = createWorker(server, { isolate: false, reconnect: { maxAttempts: 1 }, ...options });
  worker.failure = worker.run().catch((error) => error);
  return worker;
}

test('connecting may take 10 s', async () => {
  const server = await startDifficultServer({ upgrade: () => null });
  const worker = runWorker(server);
  await until(() => server.upgrades.length === 1);
  jest.advanceTimersByTime(9_900);
  expect(worker.state).toBe('connecting');
  jest.advanceTimersByTime(200);
  expect((await worker.failure).message).toBe('Connecting took longer than 10 s');
});

test('the answer to a registration may take 30 s', async () => {
  const server = await startDifficultServer({ ack: () => null });
  const worker = runWorker(server);
  const connection = await server.connection();
  jest.advanceTimersByTime(29_900);
  connection.ws.ping();
  await new Promise((resolve) => connection.ws.once('pong', resolve));
  jest.advanceTimersByTime(200);
  expect((await worker.failure).message).toBe('The registration was not answered within 30 s');
});

test('a server that says no and does not close is left', async () => {
  const server = await startDifficultServer({
    ack: () => ({ type: 'worker_registration_ack', success: false, error: 'Id in use' }),
  });
  const worker = runWorker(server);
  const connection = await server.connection();
  connection.ws.ping();
  await new Promise((resolve) => connection.ws.once('pong', resolve));
  jest.advanceTimersByTime(5_100);
  expect((await worker.failure).message).toBe('The server refused the registration: Id in use');
});

test('a function that never answers is a failure after 30 s', async () => {
  const server = await startDifficultServer();
  const asked = deferred();
  const worker = runWorker(server, {
    authToken: () => {
      asked.resolve();
      return new Promise(() => {});
    },
  });
  await asked.promise;
  jest.advanceTimersByTime(30_100);
  expect((await worker.failure).message).toMatch(/took longer than 30 s/);
});

test('an end that nobody settles is kept for 5 minutes', async () => {
  const server = await startDifficultServer({ settles: false, heartbeatIntervalMs: 3_600_000 });
  const worker = runWorker(server, { reconnect: { initialDelayMs: 0 }, handler: () => 1 });
  const connection = await server.connection();
  await until(() => worker.state === 'connected');
  connection.request('r1');
  await connection.next('request_result');
  jest.advanceTimersByTime(299_000);
  connection.request('r2');
  await connection.next('request_result', 'r2');
  jest.advanceTimersByTime(2_000);
  await connection.cut();
  const second = await server.connection();
  expect(second.registration.resume.requests).toEqual([{ requestId: 'r2', attempt: 1, done: true }]);
});

test('waits beyond what one of Node’s timers can are as long as they should be, and Infinity has no end', () => {
  const day = 86_400_000;
  const calls = [];
  startTimer(40 * day, () => calls.push('40 days'));
  startTimer(Infinity, () => calls.push('Infinity'));
  const stop = startTimer(60 * day, () => calls.push('60 days'));
  jest.advanceTimersByTime(39 * day);
  expect(calls).toEqual([]);
  jest.advanceTimersByTime(2 * day);
  expect(calls).toEqual(['40 days']);
  stop();
  jest.advanceTimersByTime(1_000 * day);
  expect(calls).toEqual(['40 days']);
});
