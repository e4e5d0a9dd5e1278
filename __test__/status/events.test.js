'use strict';

// `<path>/events`: the whole state first, then once a second what has changed.

const net = require('node:net');
const { once } = require('node:events');
const { onCleanup } = require('../support/cleanup.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { get, nextWith, openEvents, startStatus, statusOf } = require('./support/status.js');

test('a stream begins with the state, complete', async () => {
  const { port, server } = await startStatus();
  await connectWorker(server, 'w1');
  const stream = await openEvents(port);
  expect(stream.status).toBe(200);
  expect(stream.headers['content-type']).toBe('text/event-stream');
  const { at, actions, page, ...state } = await stream.next();
  expect(new Date(at).toISOString()).toBe(at);
  expect([actions, page]).toEqual([false, expect.any(String)]);
  const now = await statusOf(port);
  expect(Object.keys(state)).toEqual(Object.keys(now));
  expect(state.workers).toEqual([{ ...now.workers[0], heartbeatAgeMs: expect.any(Number) }]);
});

test('updates come once a second, and hold nothing while nothing changes', async () => {
  const { port, server } = await startStatus();
  await connectWorker(server, 'w1');
  const stream = await openEvents(port);
  const times = [Date.parse((await stream.next()).at)];
  for (let i = 0; i < 3; i += 1) {
    const { at, history, ...changed } = await stream.next();
    expect(changed).toEqual({});
    // The clock may have begun another interval.
    expect((history ?? []).every(({ completed }) => completed === 0)).toBe(true);
    times.push(Date.parse(at));
  }
  // A timer is never early; how late it is is the machine's affair.
  for (let i = 1; i < times.length; i += 1) expect(times[i] - times[i - 1]).toBeGreaterThan(900);
});

test('an update has the members of workers that changed, with their ids, and nothing of the others', async () => {
  const { port, server } = await startStatus();
  await connectWorker(server, 'w1', { capabilities: capabilitiesOf(['a'], 1, { concurrencyLimits: { c: 1 } }) });
  await connectWorker(server, 'w2');
  const stream = await openEvents(port);
  await stream.next();
  server.trackRequest('w1', 'r', 'c');
  expect((await nextWith(stream, 'workers')).workers).toEqual([
    { id: 'w1', status: 'busy', active: 1, categories: { c: { active: 1, limit: 1 } } },
  ]);
  server.releaseRequest('r');
  expect((await nextWith(stream, 'workers')).workers).toEqual([
    { id: 'w1', status: 'available', active: 0, categories: { c: { active: 0, limit: 1 } } },
  ]);
});

test('a heartbeat is a change; that time goes by is none', async () => {
  const { port, server } = await startStatus();
  const worker = await connectWorker(server, 'w1');
  await connectWorker(server, 'w2');
  const stream = await openEvents(port);
  await stream.next();
  await stream.next();
  await worker.heartbeat();
  expect((await nextWith(stream, 'workers')).workers).toEqual([{ id: 'w1', heartbeatAgeMs: expect.any(Number) }]);
});

test('workers that come are there whole, and those that left are named', async () => {
  const { port, server } = await startStatus();
  const worker = await connectWorker(server, 'w1');
  const stream = await openEvents(port);
  await stream.next();
  await connectWorker(server, 'w2');
  const { workers } = await nextWith(stream, 'workers');
  expect(workers).toEqual([{ ...(await statusOf(port)).workers[1], heartbeatAgeMs: expect.any(Number) }]);
  await worker.close();
  expect((await nextWith(stream, 'gone')).gone).toEqual({ workers: ['w1'] });
});

test('what waits, and that the server drains, are changes', async () => {
  const { port, server } = await startStatus();
  const stream = await openEvents(port);
  await stream.next();
  const waiting = server.request('x', { model: 'm' });
  expect((await nextWith(stream, 'queue')).queue).toEqual({
    size: 1,
    bytes: 3,
    oldestMs: expect.any(Number),
    byModel: { m: 1 },
  });
  const drained = server.drain();
  expect((await nextWith(stream, 'state')).state).toBe('draining');
  const ends = Promise.allSettled([waiting, drained]);
  await server.stop();
  await ends;
});

test('who comes between two updates gets on with the next one', async () => {
  const { port, server } = await startStatus();
  const first = await openEvents(port);
  await first.next();
  await connectWorker(server, 'w1');
  // The state of the last update, and the worker as the next one's difference.
  const second = await openEvents(port);
  const whole = await second.next();
  const later = whole.workers.length === 1 ? whole : await nextWith(second, 'workers');
  expect(later.workers.map(({ id }) => id)).toEqual(['w1']);
});

test('there are a hundred streams at most, then 503, until one ends', async () => {
  const { port } = await startStatus();
  const streams = await Promise.all(Array.from({ length: 100 }, () => openEvents(port)));
  expect(streams.every(({ status }) => status === 200)).toBe(true);
  const refused = await get(port, '/status/events');
  expect([refused.status, refused.json]).toEqual([503, { error: 'Too many streams' }]);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await get(port, '/status.json')).status).toBe(200);
  streams[42].req.destroy();
  for (;;) {
    const again = await openEvents(port).catch(() => ({ status: 503 }));
    if (again.status === 200) break;
  }
});

test('stop() ends them, and says that the server stops', async () => {
  const { port, server } = await startStatus({}, { limits: { stopGraceMs: 60_000 } });
  const stream = await openEvents(port);
  await stream.next();
  const stopped = server.stop();
  expect((await nextWith(stream, 'state')).state).toBe('stopping');
  await Promise.all([stopped, stream.ended]);
  expect(stream.res.complete).toBe(true);
});

test('after a restart there are streams again', async () => {
  const { server } = await startStatus();
  const stream = await openEvents(server.port);
  await server.stop();
  await stream.ended;
  await server.start();
  const again = await openEvents(server.port);
  expect((await again.next()).state).toBe('running');
  expect((await again.next()).at).toEqual(expect.any(String));
});

test('a viewer that reads nothing is cut, and the others go on', async () => {
  const { port, server } = await startStatus();
  // So much changes in a second that no socket's buffers hold it for long.
  const models = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(1_000)}`);
  const worker = await connectRequestWorker(server, 'w1', { models });
  const deaf = net.connect(port, '127.0.0.1');
  onCleanup(() => deaf.destroy());
  deaf.on('error', () => {});
  await once(deaf, 'connect');
  deaf.write('GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const served = new Promise((resolve) => deaf.once('readable', resolve));
  await served;
  const reading = await openEvents(port);
  await reading.next();
  let cut = false;
  // Paused, it notices the end when it is written to.
  deaf.on('close', () => (cut = true));
  for (let i = 0; !cut; i += 1) {
    const changed = models.map((model) => `${i} ${model}`);
    worker.send({ type: 'worker_update', workerId: 'w1', capabilities: capabilitiesOf(changed, 2) });
    const { workers } = await nextWith(reading, 'workers');
    expect(workers[0].id).toBe('w1');
    deaf.write('\r\n');
  }
}, 60_000);

test('what no viewer sees costs nothing: there is no timer when the last one has left', async () => {
  const { port, server } = await startStatus();
  let reads = 0;
  const { getWorkerInfo } = server;
  server.getWorkerInfo = () => {
    reads += 1;
    return getWorkerInfo.call(server);
  };
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const stream = await openEvents(port);
  await stream.next();
  await stream.next();
  stream.req.destroy();
  // The server has noticed when it reads no more.
  const seen = await statusOf(port).then(() => reads);
  while (timers() > before) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(reads - seen).toBeLessThanOrEqual(1);
});
