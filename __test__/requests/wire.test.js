'use strict';

// What is said on the wire, to the byte.

const { startServer, nextCall } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const capabilities = capabilitiesOf(['m'], 2);
const ackOf = (worker) => worker.frames[0];

test.each([
  [['request'], ',"features":["request"]}'],
  [['resume', 'request'], ',"features":["request","resume"]}'],
  [['other', 'request', 'request', 7], ',"features":["request"]}'],
])(
  'a registration with the features %j has those that both know in its ack, in the order request, resume',
  async (features, end) => {
    const { server } = await startServer();
    const worker = await connectWorker(server, 'w', { capabilities, features });
    expect(ackOf(worker)).toBe(
      `{"type":"worker_registration_ack","success":true,"sessionId":"${worker.ack.sessionId}","heartbeatIntervalMs":15000${end}`,
    );
  },
);

test.each([[undefined], [[]], [['resume']], [['other']], ['request'], [{ 0: 'request' }], [null]])(
  'the features %j are none: the ack is that of 1.0.12, and requests go elsewhere',
  async (features) => {
    const { server } = await startServer({ queue: { whenNoWorker: 'fail' } });
    const worker = await connectWorker(server, 'w', { capabilities, features });
    expect(ackOf(worker)).toBe(
      `{"type":"worker_registration_ack","success":true,"sessionId":"${worker.ack.sessionId}","heartbeatIntervalMs":15000}`,
    );
    expect(await rejection(server.request({}))).toMatchObject({ code: 'NO_WORKER', started: false });
  },
);

test('resume is not offered where limits.resumeGraceMs is 0', async () => {
  const { server } = await startServer({ limits: { resumeGraceMs: 0 } });
  const worker = await connectWorker(server, 'w', { capabilities, features: ['request', 'resume'] });
  expect(worker.ack.features).toEqual(['request']);
});

test('a request has its members in the order of the contract, those without a value left out', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 9 });
  const frames = async (...args) => {
    server.request(...args).catch(() => {});
    await worker.nextRequest();
    return worker.frames.at(-1);
  };
  expect(await frames({ a: [1] }, { requestId: 'r"1', model: 'm', category: 'c', timeoutMs: Infinity })).toBe(
    '{"type":"request","requestId":"r\\"1","attempt":1,"model":"m","category":"c","stream":false,"payload":{"a":[1]}}',
  );
  expect(await frames(undefined, { requestId: 'r2', timeoutMs: Infinity })).toBe(
    '{"type":"request","requestId":"r2","attempt":1,"stream":false}',
  );
  expect(await frames(null, { requestId: 'r3', timeoutMs: Infinity })).toBe(
    '{"type":"request","requestId":"r3","attempt":1,"stream":false,"payload":null}',
  );
  const { timeoutMs } = JSON.parse(await frames(1, { requestId: 'r4', timeoutMs: 500.5 }));
  expect(Number.isInteger(timeoutMs)).toBe(true);
  expect(timeoutMs).toBeGreaterThan(0);
  expect(timeoutMs).toBeLessThanOrEqual(501);
});

test('the model on the wire is the name that the caller asked for', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { models: ['llama-3-70b'] });
  server.request(1, { model: 'llama' }).catch(() => {});
  expect((await worker.nextRequest()).model).toBe('llama');
});

test('a request id is a UUID of version 4 unless the caller chooses one', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const stream = server.stream(1);
  const { requestId, stream: isStream } = await worker.nextRequest();
  expect(requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect([stream.requestId, isStream]).toEqual([requestId, true]);
});

test('a data that is missing is undefined', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const stream = server.stream(1);
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0 });
  worker.answer(request, 'result');
  expect(await stream.next()).toEqual({ done: false, value: undefined });
  expect(await stream.result).toBeUndefined();
});

test('the types are the server’s for good: they reach no handler, stale or malformed', async () => {
  const { server, log } = await startServer();
  const worker = await connectRequestWorker(server);
  const seen = [];
  for (const type of ['ack', 'reject', 'progress', 'chunk', 'result', 'error']) {
    server.onWorkerMessage(`request_${type}`, () => seen.push(type));
  }
  for (const type of ['worker_status', 'worker_update']) server.onWorkerMessage(type, () => seen.push(type));
  worker.send({ type: 'request_result', requestId: 'nobody', attempt: 1 });
  worker.send({ type: 'request_result' });
  worker.send({ type: 'request_result', requestId: 'r', attempt: 0 });
  worker.send({ type: 'request_chunk', requestId: 'r', attempt: 1 });
  worker.send({ type: 'worker_status', status: 'asleep' });
  await worker.sync();
  expect(seen).toEqual([]);
  expect(log.contexts('Malformed answer from worker')).toEqual([
    { workerId: 'w', type: 'request_result', field: 'requestId' },
    { workerId: 'w', type: 'request_result', field: 'attempt' },
    { workerId: 'w', type: 'request_chunk', field: 'seq' },
    { workerId: 'w', type: 'worker_status', field: 'status' },
  ]);
  expect(log.contexts('Stale answer from worker')).toEqual([
    { workerId: 'w', requestId: 'nobody', type: 'request_result' },
  ]);
});

test('the same types of a worker without the feature are the application’s', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w', { capabilities });
  const message = nextCall((handler) => server.onWorkerMessage('request_result', handler));
  worker.send({ type: 'request_result', requestId: 'r', attempt: 1, data: 7 });
  expect((await message)[1]).toEqual({ type: 'request_result', requestId: 'r', attempt: 1, data: 7 });
});

test('the ack of a registration comes before its first request', async () => {
  const { server } = await startServer();
  const answer = server.request(1, { requestId: 'r' });
  const worker = await connectRequestWorker(server);
  worker.answer(await worker.nextRequest(), 'result', { data: 'done' });
  expect(await answer).toBe('done');
  expect(worker.frames.map((text) => JSON.parse(text).type).slice(0, 2)).toEqual([
    'worker_registration_ack',
    'request',
  ]);
});
