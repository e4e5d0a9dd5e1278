'use strict';

// Which worker gets a request, and why another does not.

const { startServer } = require('../support/server.js');
const { connectWorker, capabilitiesOf } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

/** The id of the worker that gets a request with these options; the request stays under way. */
function chosen(server, options) {
  let id = null;
  server.request({}, { ...options, onStarted: (worker) => (id = worker.id) }).catch(() => {});
  return id;
}

test('with loose matching those with the exact name come first, and a loose one when none of them has a free slot', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'loose', { models: ['llama-3-70b'], slots: 9 });
  await connectRequestWorker(server, 'exact', { models: ['llama-3'], slots: 1 });
  expect([1, 2].map(() => chosen(server, { model: 'llama-3' }))).toEqual(['exact', 'loose']);
});

test('then the lowest load counts, then the earliest registration', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'a', { slots: 2 });
  await connectRequestWorker(server, 'b', { slots: 4 });
  expect([1, 2, 3, 4, 5, 6].map(() => chosen(server, { model: 'm' }))).toEqual(['a', 'b', 'b', 'a', 'b', 'b']);
});

test('exact is equality, in a request’s option and in the server’s, whose selectors follow it', async () => {
  const { server } = await startServer({ modelMatch: 'exact', queue: { whenNoWorker: 'fail' } });
  await connectRequestWorker(server, 'w', { models: ['llama-3-70b'] });
  expect(await rejection(server.request({}, { model: 'llama-3' }))).toMatchObject({ code: 'NO_WORKER' });
  expect([server.getAvailableWorker('llama-3'), server.getAvailableSlotCount('llama-3')]).toEqual([null, 0]);
  expect([server.getAvailableWorker('llama-3-70b').id, server.getAvailableSlotCount('llama-3-70b')]).toEqual(['w', 2]);
  expect(chosen(server, { model: 'llama-3', modelMatch: 'loose' })).toBe('w');
});

test('workerId asks one worker and no other', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'a', { slots: 1 });
  await connectRequestWorker(server, 'b', { slots: 1 });
  expect(chosen(server, { workerId: 'b' })).toBe('b');
  expect(await rejection(server.request({}, { workerId: 'b', queueTimeoutMs: 10 }))).toMatchObject({
    code: 'QUEUE_TIMEOUT',
  });
});

test('a category’s limit counts', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'a', { slots: 9, limits: { chat: 1 } });
  expect(chosen(server, { category: 'chat' })).toBe('a');
  expect(chosen(server, { category: 'chat', queueTimeoutMs: 0 })).toBeNull();
  expect(chosen(server, { category: 'other' })).toBe('a');
});

test.each([
  [{ gpu: 'a100' }, true],
  [{ gpu: 'A100' }, false],
  [{ vram: 80 }, true],
  [{ vram: '80' }, false],
  [{ spot: false }, true],
  [{ gpu: ['h100', 'a100'] }, true],
  [{ gpu: [] }, false],
  [{}, true],
  [{ vram: { gte: 80 } }, true],
  [{ vram: { gt: 80 } }, false],
  [{ vram: { gt: 40, lt: 81, not: 64 } }, true],
  [{ gpu: { gte: 0 } }, false],
  [{ gpu: { not: 'h100' } }, true],
  [{ gpu: { not: 'a100' } }, false],
  [{ missing: 'x' }, false],
  [{ missing: { not: 'x' } }, true],
  [{ missing: { not: 'x', gt: 1 } }, false],
  [{ toString: { not: 'x' } }, true],
  [{ nested: { not: 'x' } }, true],
  [{ gpu: 'a100', vram: 81 }, false],
])('where: %j', async (where, matches) => {
  const { server } = await startServer();
  const metadata = { gpu: 'a100', vram: 80, spot: false, nested: { gpu: 'x' } };
  await connectRequestWorker(server, 'w', { metadata });
  expect(chosen(server, { where, queueTimeoutMs: 0 })).toBe(matches ? 'w' : null);
});

test('a lone surrogate in a name matches nothing', async () => {
  const { server } = await startServer();
  await connectRequestWorker(server, 'w', { models: ['', '\ufffd'] });
  expect(chosen(server, { model: '\ud800', queueTimeoutMs: 0 })).toBeNull();
});

/** The worker that an affinity key prefers while the fleet is idle. */
function preferred(server, affinity) {
  const controller = new AbortController();
  const id = chosen(server, { affinity, signal: controller.signal });
  controller.abort();
  return id;
}

test('the same affinity key goes to the same worker, the same one on every server', async () => {
  const placed = [];
  for (const order of [
    ['a', 'b', 'c', 'd'],
    ['d', 'b', 'a', 'c'],
  ]) {
    const { server } = await startServer({ limits: { cancelGraceMs: 0 } });
    for (const id of order) await connectRequestWorker(server, id, { slots: 100 });
    placed.push(Array.from({ length: 12 }, (_, key) => preferred(server, `key ${key}`)));
    const again = Array.from({ length: 12 }, (_, key) => preferred(server, `key ${key}`));
    expect(again).toEqual(placed.at(-1));
    await server.stop();
  }
  expect(placed[0]).toEqual(placed[1]);
  expect(new Set(placed[0]).size).toBeGreaterThan(1);
});

test('a preferred worker that is much busier than the others is passed over, and nobody waits for it', async () => {
  const { server } = await startServer();
  for (const id of ['a', 'b', 'c']) await connectRequestWorker(server, id, { slots: 10 });
  const counts = {};
  for (let count = 0; count < 30; count += 1) {
    const id = chosen(server, { affinity: 'hot' });
    counts[id] = (counts[id] ?? 0) + 1;
  }
  expect(counts).toEqual({ a: 10, b: 10, c: 10 });
});

test('explain says for each worker, in the order of registration, the first reason that holds', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'plain', { capabilities: capabilitiesOf(['m'], 1) });
  await connectRequestWorker(server, 'other', { models: ['x'] });
  await connectRequestWorker(server, 'cpu', { metadata: { gpu: 'none' } });
  const metadata = { gpu: 'a100' };
  await connectRequestWorker(server, 'draining', { metadata });
  server.setWorkerStatus('draining', 'draining');
  await connectRequestWorker(server, 'busy', { slots: 1, metadata });
  server.trackRequest('busy', 'r');
  await connectRequestWorker(server, 'limited', { limits: { c: 1 }, metadata });
  server.trackRequest('limited', 'r2', 'c');
  await connectRequestWorker(server, 'free', { metadata });
  const explanation = server.explain({ model: 'm', category: 'c', where: { gpu: 'a100' } });
  expect(explanation.workers).toEqual([
    { id: 'plain', takes: false, reason: 'no-requests' },
    { id: 'other', takes: false, reason: 'model' },
    { id: 'cpu', takes: false, reason: 'selector' },
    { id: 'draining', takes: false, reason: 'draining' },
    { id: 'busy', takes: false, reason: 'busy' },
    { id: 'limited', takes: false, reason: 'category' },
    { id: 'free', takes: true, reason: 'free' },
  ]);
  expect(explanation.text).toBe(
    '7 worker(s): 1 does not take requests, 1 does not serve "m", 1 does not match where, 1 draining, 1 busy, 1 at the limit of "c", 1 free',
  );
  expect(server.explain({ workerId: 'free' }).text).toBe('7 worker(s): 6 are not "free", 1 free');
  expect(server.explain().text).toBe('7 worker(s): 4 free, 1 does not take requests, 1 draining, 1 busy');
});

test('explain of a server without workers, started or not, says so', async () => {
  const { server } = await startServer();
  expect(server.explain()).toEqual({ text: 'no workers', workers: [] });
  await server.stop();
  expect(server.explain({ model: 'm' })).toEqual({ text: 'no workers', workers: [] });
  expect(() => server.explain({ model: 7 })).toThrow('options.model must be a string');
});
