'use strict';

// Signals that are no AbortSignal of Node's, and throw: a request ends exactly once all the same (I9).

const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const thrown = new Error('a signal threw');
const throws = () => {
  throw thrown;
};

/** What passes for a signal, and notes its listeners. */
function signalWith(members) {
  const listeners = new Set();
  const signal = {
    aborted: false,
    reason: 'gone',
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
  };
  Object.defineProperties(signal, Object.getOwnPropertyDescriptors(members));
  return { signal, abort: () => listeners.forEach((listener) => listener()) };
}

async function withWorker() {
  const { server, log } = await startServer();
  return { server, log, worker: await connectRequestWorker(server, 'w', { slots: 1 }) };
}

const active = (server) => server.getWorkerInfo()[0].activeRequests;

test('I9: one that takes no listener rejects the request with what it threw, and nothing is sent', async () => {
  const { server, worker } = await withWorker();
  const { signal } = signalWith({ addEventListener: throws });
  expect(await rejection(server.request({}, { signal, requestId: 'r' }))).toBe(thrown);
  expect(await rejection(server.stream({}, { signal, requestId: 'r' }).result)).toBe(thrown);
  expect(active(server)).toBe(0);
  const answer = server.request({}, { requestId: 'r' });
  worker.answer(await worker.nextRequest(), 'result', { data: 'the id is free again' });
  expect(await answer).toBe('the id is free again');
});

test('I9: one that keeps its listener keeps nobody from a result, nor stop() from its end', async () => {
  const { server, log, worker } = await withWorker();
  const { signal } = signalWith({ removeEventListener: throws });
  const answer = server.request({}, { signal });
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  expect(await answer).toBe(1);
  const waits = rejection(server.request({}, { signal, model: 'none' }));
  await server.stop();
  expect(await waits).toMatchObject({ code: 'SERVER_STOPPING' });
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('I9: what its reason throws is the reason', async () => {
  const { server, worker } = await withWorker();
  const { signal, abort } = signalWith({
    get reason() {
      throw thrown;
    },
  });
  const answer = rejection(server.request({}, { signal }));
  await worker.nextRequest();
  abort();
  expect(await answer).toBe(thrown);
  expect((await worker.next('request_cancel')).reason).toBe('aborted');
  signal.aborted = true;
  expect(await rejection(server.request({}, { signal }))).toBe(thrown);
});

test('I9: one that throws when it is asked for the second time rejects the request', async () => {
  const { server } = await withWorker();
  let asked = 0;
  const { signal } = signalWith({
    get aborted() {
      asked += 1;
      return asked === 1 ? false : throws();
    },
  });
  expect(await rejection(server.request({}, { signal }))).toBe(thrown);
  expect(active(server)).toBe(0);
});

test('I9: a drain ends, whatever its signal throws', async () => {
  const { server, worker } = await withWorker();
  const answer = server.request({});
  const request = await worker.nextRequest();
  expect(await rejection(server.drain({ signal: signalWith({ addEventListener: throws }).signal }))).toBe(thrown);
  const drained = server.drain({ signal: signalWith({ removeEventListener: throws }).signal });
  worker.answer(request, 'result');
  await answer;
  expect(await drained).toEqual({ drained: true, remaining: 0 });
});
