'use strict';

// `<path>.json`: what it says against what happened.

const { version } = require('../../package.json');
const { connectRequestWorker } = require('../support/request-worker.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { get, startStatus, statusOf } = require('./support/status.js');

const isIso = (text) => new Date(text).toISOString() === text;

test('a server without workers has everything, in this order', async () => {
  const { port } = await startStatus();
  const status = await statusOf(port);
  expect(Object.keys(status)).toEqual([
    'state',
    'version',
    'uptimeMs',
    'workers',
    'queue',
    'requests',
    'history',
    'losses',
    'nodes',
  ]);
  expect(status).toMatchObject({
    state: 'running',
    version,
    workers: [],
    queue: { size: 0, bytes: 0, oldestMs: 0, byModel: {} },
    requests: [],
    losses: [],
    nodes: null,
  });
  expect(status.history.at(-1)).toEqual({
    at: expect.any(String),
    completed: 0,
    failed: 0,
    p50Ms: null,
    p95Ms: null,
  });
  expect(status.history.every(({ at }) => isIso(at))).toBe(true);
});

test('uptimeMs counts from the last start', async () => {
  const { port, server } = await startStatus();
  const first = await statusOf(port);
  expect(first.uptimeMs).toBeGreaterThanOrEqual(0);
  await server.stop();
  await server.start();
  const again = await statusOf(server.port);
  expect(again.uptimeMs).toBeLessThan(performance.now());
  await server.stop();
  const before = performance.now();
  await server.start();
  expect((await statusOf(server.port)).uptimeMs).toBeLessThanOrEqual(Math.ceil(performance.now() - before));
});

test('a worker has all of its members, in this order', async () => {
  const { port, server } = await startStatus();
  const capabilities = capabilitiesOf(['a', 'b'], 3, { concurrencyLimits: { long: 1 } });
  await connectWorker(server, 'w1', { workerName: 'first', capabilities });
  server.trackRequest('w1', 'r1', 'long');
  server.trackRequest('w1', 'r2', 'other');
  const { workers } = await statusOf(port);
  expect(Object.keys(workers[0])).toEqual([
    'id',
    'name',
    'address',
    'status',
    'active',
    'slots',
    'categories',
    'models',
    'heartbeatAgeMs',
    'connectedAt',
  ]);
  expect(workers).toEqual([
    {
      id: 'w1',
      name: 'first',
      address: server.getConnectionInfo === undefined ? null : '127.0.0.1',
      status: 'available',
      active: 2,
      slots: 3,
      categories: { long: { active: 1, limit: 1 }, other: { active: 1, limit: null } },
      models: ['a', 'b'],
      heartbeatAgeMs: expect.any(Number),
      connectedAt: expect.any(String),
    },
  ]);
  expect(workers[0].heartbeatAgeMs).toBeGreaterThanOrEqual(0);
  expect(workers[0].connectedAt).toBe(server.getWorkerInfo()[0].connectedAt.toISOString());
});

test('workers come in the order of their registration, each with its status', async () => {
  const { port, server } = await startStatus();
  await connectWorker(server, 'z', { capabilities: capabilitiesOf(['a'], 1) });
  await connectWorker(server, 'a');
  await connectWorker(server, 'm');
  server.trackRequest('z', 'r');
  server.setWorkerStatus('a', 'draining');
  const { workers } = await statusOf(port);
  expect(workers.map(({ id, status }) => `${id} ${status}`)).toEqual(['z busy', 'a draining', 'm available']);
});

test('names of any kind come as they are, in JSON', async () => {
  const { port, server } = await startStatus();
  const name = '<img src=x onerror=alert(1)>"\'\n\r\u2028\u202e</script>';
  await connectWorker(server, name, { workerName: name, capabilities: capabilitiesOf([name, '__proto__'], 1) });
  server.trackRequest(name, 'r', '__proto__');
  const { headers, json } = await get(port, '/status.json');
  expect(headers['content-type']).toBe('application/json');
  const [worker] = json.workers;
  expect(worker).toMatchObject({ id: name, name, models: [name, '__proto__'] });
  expect(Object.keys(worker.categories)).toEqual(['__proto__']);
});

test('queue is what getQueueInfo() says', async () => {
  const { port, server } = await startStatus();
  const waits = [server.request('payload', { model: 'm' }), server.request(1, { model: 'n' }), server.request(1, {})];
  const { queue } = await statusOf(port);
  const { oldestMs, ...info } = server.getQueueInfo();
  expect(queue).toEqual({ ...info, byModel: { m: 1, n: 1, '*': 1 }, oldestMs: expect.any(Number) });
  expect(queue.oldestMs).toBeLessThanOrEqual(oldestMs);
  const ends = Promise.allSettled(waits);
  await server.stop();
  await ends;
});

test('while the server drains it says so', async () => {
  const { port, server } = await startStatus();
  const worker = await connectRequestWorker(server);
  const answered = server.request('x');
  const request = await worker.nextRequest();
  const drained = server.drain();
  expect((await statusOf(port)).state).toBe('draining');
  worker.answer(request, 'result');
  await Promise.all([answered, drained]);
});

test('payloads, results, session ids, tokens, auth and metadata are never there', async () => {
  const { port, server } = await startStatus({}, { authToken: 'secret-token' });
  const worker = await connectRequestWorker(server, 'w', {
    authToken: 'secret-token',
    metadata: { note: 'secret-metadata' },
  });
  const done = server.request({ text: 'secret-payload' }, { model: 'm' });
  worker.answer(await worker.nextRequest(), 'result', { data: 'secret-result' });
  await done;
  const failed = server.request({ text: 'secret-payload' }, { model: 'm' }).catch(() => {});
  worker.answer(await worker.nextRequest(), 'error', { error: { message: 'secret-message' } });
  await failed;
  const running = server.request({ text: 'secret-payload' }, { model: 'm' }).catch(() => {});
  await worker.nextRequest();
  const [{ sessionId }] = server.getWorkerInfo();
  for (const path of ['/status', '/status.json', '/status/explain?model=m']) {
    const { text } = await get(port, path);
    expect(text).not.toContain('secret-');
    expect(text).not.toContain(sessionId);
  }
  await server.stop();
  await running;
});

describe('<path>/explain', () => {
  test('is what explain() says of a model, or of any', async () => {
    const { port, server } = await startStatus();
    await connectRequestWorker(server, 'w', { models: ['llama & co'] });
    await connectWorker(server, 'old');
    for (const model of ['llama & co', 'other', undefined]) {
      const query = model === undefined ? '' : `?model=${encodeURIComponent(model)}`;
      expect((await get(port, `/status/explain${query}`)).json).toEqual(server.explain({ model }));
    }
    expect((await get(port, '/status/explain?category=c')).json).toEqual(server.explain({ category: 'c' }));
  });
});
