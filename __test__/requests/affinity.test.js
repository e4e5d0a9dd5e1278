'use strict';

// Which keys move when a fleet changes, on real workers.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');

const KEYS = Array.from({ length: 200 }, (_, number) => `session ${number}`);

/** The id of the worker that a key prefers while the fleet is idle. */
function preferred(server, affinity) {
  const controller = new AbortController();
  let id = null;
  const { signal } = controller;
  server.request({}, { affinity, signal, onStarted: (worker) => (id = worker.id) }).catch(() => {});
  controller.abort();
  return id;
}

const placed = (server) => new Map(KEYS.map((key) => [key, preferred(server, key)]));

async function fleet(...ids) {
  const { server } = await startServer({ limits: { cancelGraceMs: 0 } });
  const workers = new Map();
  for (const id of ids) workers.set(id, await connectRequestWorker(server, id, { slots: 100 }));
  return { server, workers };
}

test('a worker that joins gets its share of the keys, and no other key moves', async () => {
  const { server } = await fleet('a', 'b', 'c', 'd');
  const before = placed(server);
  await connectRequestWorker(server, 'e', { slots: 100 });
  const after = placed(server);
  const moved = KEYS.filter((key) => after.get(key) !== before.get(key));
  expect(new Set(moved.map((key) => after.get(key)))).toEqual(new Set(['e']));
  // A fifth is forty.
  expect(moved.length).toBeGreaterThan(20);
  expect(moved.length).toBeLessThan(60);
});

test('the keys of a worker that leaves are spread over the others, and no other key moves', async () => {
  const { server, workers } = await fleet('a', 'b', 'c', 'd', 'e');
  const before = placed(server);
  await workers.get('c').die();
  await until(() => server.getWorkerInfo().length === 4);
  const after = placed(server);
  const moved = KEYS.filter((key) => after.get(key) !== before.get(key));
  expect(moved).toEqual(KEYS.filter((key) => before.get(key) === 'c'));
  expect(new Set(moved.map((key) => after.get(key)))).toEqual(new Set(['a', 'b', 'd', 'e']));
});

test('a worker that comes back has its keys again; one that is full or unfit gives up none of the others’', async () => {
  const { server, workers } = await fleet('a', 'b', 'c');
  const before = placed(server);
  await workers.get('b').die();
  await until(() => server.getWorkerInfo().length === 2);
  await connectRequestWorker(server, 'b', { slots: 100 });
  expect(placed(server)).toEqual(before);
  server.setWorkerStatus('a', 'draining');
  const without = placed(server);
  for (const key of KEYS) if (before.get(key) !== 'a') expect(without.get(key)).toBe(before.get(key));
  expect([...without.values()]).not.toContain('a');
  server.setWorkerStatus('a', 'available');
  expect(placed(server)).toEqual(before);
});
