'use strict';

const { startServer, until } = require('../support/server');
const { startFleet } = require('../support/fleet');
const { openWorker } = require('../support/socket');
const { randomFrom } = require('../support/random');

test('I2: 2,000 workers at once each have their events in order, and each is gone after its end', async () => {
  const { server, port } = await startServer();
  const count = 2000;
  const events = new Map();
  const note = (id, event) => {
    if (!events.has(id)) events.set(id, []);
    events.get(id).push(event);
  };
  server.onWorkerConnected((worker) => note(worker.id, 'connected'));
  server.onWorkerDisconnected((worker) => note(worker.id, 'disconnected'));
  server.onWorkerMessage('note', (worker, { seq, from }) => note(worker.id, from === worker.id ? seq : `of ${from}`));
  const fleet = await startFleet(port, { count, heartbeatMs: 1000, messages: 5 });
  expect(server.getWorkerCount()).toBe(count);
  expect(server.getAvailableSlotCount('model')).toBe(4 * count);
  await until(() => [...events.values()].every((list) => list.length === 6));
  server.broadcast({ type: 'hello' });
  expect(await fleet.ask('report')).toEqual({ open: count, closed: [] });
  await fleet.ask('close', { how: 'close' });
  await until(() => server.getWorkerCount() === 0);
  expect(events.size).toBe(count);
  const wrong = [...events].filter(([, list]) => list.join() !== 'connected,0,1,2,3,4,disconnected');
  expect(wrong).toEqual([]);
}, 60000);

test('I2: 2,000 workers that are cut at once leave one disconnected event each', async () => {
  const { server, port } = await startServer();
  const count = 2000;
  const fleet = await startFleet(port, { count });
  const gone = new Map();
  server.onWorkerDisconnected((worker, pending) => {
    gone.set(worker.id, [...(gone.get(worker.id) ?? []), [...pending].join()]);
  });
  for (const { id } of server.getWorkerInfo()) server.trackRequest(id, `request of ${id}`);
  fleet.child.kill('SIGKILL');
  await until(() => server.getWorkerCount() === 0);
  expect(gone.size).toBe(count);
  expect([...gone].filter(([id, ends]) => ends.length !== 1 || ends[0] !== `request of ${id}`)).toEqual([]);
}, 60000);

/** A value of some kind, with what JSON makes hard. */
function someValue(random, depth = 0) {
  const kind = Math.floor(random() * (depth < 3 ? 9 : 7));
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return Math.floor(random() * 2 ** 53);
  if (kind === 3) return (random() - 0.5) * 10 ** Math.floor(random() * 600 - 300);
  if (kind === 4) return ['', 'text', 'ü€😀', '\ud800', '\u0000\u001f"\\', '\u2028'][Math.floor(random() * 6)];
  if (kind === 5) return 'x'.repeat(Math.floor(random() * 300));
  if (kind === 6) return -0.5;
  if (kind === 7) return Array.from({ length: Math.floor(random() * 5) }, () => someValue(random, depth + 1));
  const names = ['a', 'type', '10', '2', '__proto__', 'constructor', 'ü'];
  return Object.fromEntries(names.filter(() => random() < 0.4).map((name) => [name, someValue(random, depth + 1)]));
}

test('I2: 10,000 messages arrive in order, each with exactly the fields that JSON.parse returns', async () => {
  const { server, port } = await startServer();
  const random = randomFrom(8);
  const texts = Array.from({ length: 10000 }, (_, n) => JSON.stringify({ n, type: 'value', value: someValue(random) }));
  let count = 0;
  const wrong = [];
  server.onWorkerMessage('value', (worker, message) => {
    // A text of it says more than toEqual: the order of keys, and __proto__ as a key.
    if (JSON.stringify(message) !== JSON.stringify(JSON.parse(texts[count]))) wrong.push([count, message]);
    count += 1;
  });
  const worker = await openWorker(port, 'w');
  for (const text of texts) worker.ws.send(text);
  await until(() => count === texts.length);
  expect(wrong).toEqual([]);
}, 60000);
