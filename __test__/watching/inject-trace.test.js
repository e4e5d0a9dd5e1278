'use strict';

// The option `injectTrace`: what it fills goes to the worker with each attempt.

const { AsyncLocalStorage } = require('node:async_hooks');
const { createServer, startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { connectWorker } = require('../support/worker.js');

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=b' };

test('what injectTrace fills stands last in the request, strings only', async () => {
  const injectTrace = (carrier) => {
    expect(carrier).toEqual({});
    Object.assign(carrier, { ...TRACE, sampled: true, n: 1, none: undefined, nested: {} });
  };
  const { server } = await startServer({ injectTrace });
  const worker = await connectRequestWorker(server, 'w');
  server.request({ a: 1 }, { requestId: 'r', timeoutMs: Infinity }).catch(() => {});
  await worker.nextRequest();
  expect(worker.frames.at(-1)).toBe(
    `{"type":"request","requestId":"r","attempt":1,"stream":false,"payload":{"a":1},"trace":${JSON.stringify(TRACE)}}`,
  );
});

test.each([
  ['fills nothing', () => {}],
  ['fills nothing that is a string', (carrier) => Object.assign(carrier, { a: 1 })],
  ['returns something instead', () => TRACE],
])('a request has no trace if injectTrace %s', async (_, injectTrace) => {
  const { server } = await startServer({ injectTrace });
  const worker = await connectRequestWorker(server, 'w');
  server.request({}).catch(() => {});
  expect(Object.keys(await worker.nextRequest())).not.toContain('trace');
});

test('injectTrace is called in request() itself, in the context of its caller, once for all attempts', async () => {
  const storage = new AsyncLocalStorage();
  let calls = 0;
  const injectTrace = (carrier) => {
    calls += 1;
    carrier.caller = storage.getStore();
  };
  const { server } = await startServer({ injectTrace });
  const a = await connectRequestWorker(server, 'a', { slots: 1 });
  const promise = storage.run('me', () => server.request({}, { maxAttempts: 3 }));
  expect(calls).toBe(1);
  const first = await a.nextRequest();
  const b = await connectRequestWorker(server, 'b', { slots: 1 });
  a.answer(first, 'reject');
  const second = await b.nextRequest();
  b.answer(second, 'error', { error: { retryable: true } });
  const [last, third] = await Promise.race([a, b].map(async (one) => [one, await one.nextRequest()]));
  expect([first, second, third].map(({ trace }) => trace)).toEqual([1, 2, 3].map(() => ({ caller: 'me' })));
  last.answer(third, 'result');
  await promise;
  expect(calls).toBe(1);
});

test('each stream carries its own trace', async () => {
  let n = 0;
  const injectTrace = (carrier) => {
    n += 1;
    carrier.n = String(n);
  };
  const { server } = await startServer({ injectTrace });
  const worker = await connectRequestWorker(server, 'w');
  server.stream({});
  server.stream({});
  expect([await worker.nextRequest(), await worker.nextRequest()].map(({ trace }) => trace.n)).toEqual(['1', '2']);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('boom');
    },
  ],
  [
    'throws after it has filled something',
    (carrier) => {
      carrier.a = 'b';
      throw new Error('boom');
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('boom');
    },
  ],
  [
    'fills in what throws when it is read',
    (carrier) =>
      Object.defineProperty(carrier, 'a', {
        enumerable: true,
        get() {
          throw new Error('boom');
        },
      }),
  ],
])('an injectTrace that %s is logged, and the request goes without', async (_, injectTrace) => {
  const { server, log } = await startServer({ injectTrace });
  const worker = await connectRequestWorker(server, 'w');
  const promise = server.request({}, { requestId: 'r' });
  const request = await worker.nextRequest();
  expect(Object.keys(request)).not.toContain('trace');
  worker.answer(request, 'result', { data: 1 });
  expect(await promise).toBe(1);
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([
    { level: 'error', message: 'Error in injectTrace', context: { requestId: 'r', error: 'boom' } },
  ]);
});

test('a server that is stopped by injectTrace takes the request no more', async () => {
  const { server } = await startServer({ injectTrace: () => void server.stop() });
  await connectRequestWorker(server, 'w');
  await expect(server.request({})).rejects.toMatchObject({ code: 'SERVER_STOPPING', attempts: 0 });
});

test('a trace counts for the size of the frame', async () => {
  const injectTrace = (carrier) => {
    carrier.baggage = 'x'.repeat(200_000);
  };
  const { server } = await startServer({ injectTrace, limits: { maxQueuedBytes: 100_000 } });
  await expect(server.request({})).rejects.toThrow(TypeError);
});

test('workers of requestTypes get their messages as they were', async () => {
  const injectTrace = (carrier) => Object.assign(carrier, TRACE);
  const { server } = await startServer({ injectTrace, requestTypes: { request: 'work', result: 'done' } });
  const worker = await connectWorker(server, 'w');
  const promise = server.request({ a: 1 }, { requestId: 'r' });
  expect(await worker.next('work')).toEqual({ type: 'work', requestId: 'r', a: 1 });
  worker.send({ type: 'done', requestId: 'r' });
  await promise;
});

test.each([[null], ['traceparent'], [{}], [true]])('injectTrace as %j is a TypeError that names it', (injectTrace) => {
  expect(() => createServer({ injectTrace })).toThrow(/^options\.injectTrace must be a function/);
});
