'use strict';

// What a worker sends while the event loop is blocked: the flood comes from another process, which knows how much of it
// the system took.

const { startServer, until } = require('../support/server');
const { startFlood, signalFile, blockUntilFile } = require('../support/fleet');

const MIB = 1024 * 1024;
// What the system's own buffers of a connection may hold at both ends.
const SYSTEM = 12 * MIB;

/** Counts the messages of each worker and checks that none is missing. */
function countInOrder(server) {
  const counts = new Map();
  const gaps = [];
  server.onWorkerMessage('flood', (worker, message) => {
    const expected = counts.get(worker.id) ?? 0;
    if (message.seq !== expected || message.id !== worker.id) gaps.push([worker.id, expected, message.id, message.seq]);
    counts.set(worker.id, message.seq + 1);
  });
  return { gaps, total: () => [...counts.values()].reduce((a, b) => a + b, 0) };
}

test('a connection is not read while limits.maxUnhandledBytes wait for its handlers, and nothing is lost', async () => {
  const { server, port } = await startServer({ limits: { maxUnhandledBytes: 1 * MIB } });
  const count = countInOrder(server);
  const flood = await startFlood(port);
  const file = signalFile();
  const messages = 8000;
  await flood.ask('flood', { messages, bytes: 8192, file });
  const { stalled, taken } = JSON.parse(blockUntilFile(file));
  expect(stalled).toBe(true);
  expect(taken).toBeLessThan(1 * MIB + SYSTEM);
  await until(() => count.total() === messages);
  expect(count.gaps).toEqual([]);
}, 60000);

test('no connection is read while limits.maxUnhandledBytesTotal wait for handlers, and nothing is lost', async () => {
  const { server, port } = await startServer({ limits: { maxUnhandledBytesTotal: 4 * MIB } });
  const count = countInOrder(server);
  const flood = await startFlood(port, { count: 4 });
  const file = signalFile();
  const messages = 3000;
  await flood.ask('flood', { messages, bytes: 8192, file });
  const { stalled, taken } = JSON.parse(blockUntilFile(file));
  expect(stalled).toBe(true);
  expect(taken).toBeLessThan(4 * MIB + 4 * SYSTEM);
  await until(() => count.total() === 4 * messages);
  expect(count.gaps).toEqual([]);
}, 60000);

test('a worker whose connection is not read for long is not judged silent', async () => {
  const { server, port, log } = await startServer({
    heartbeatTimeoutMs: 1_500,
    healthCheckIntervalMs: 50,
    limits: { maxUnhandledBytes: 1 * MIB },
  });
  const count = countInOrder(server);
  const flood = await startFlood(port);
  const file = signalFile();
  const messages = 6000;
  await flood.ask('flood', { messages, bytes: 8192, file });
  // Longer than three times the timeout, after which a silent worker is closed.
  const { stalled } = JSON.parse(blockUntilFile(file, { ms: 5_000 }));
  expect(stalled).toBe(true);
  await until(() => count.total() === messages);
  expect(count.gaps).toEqual([]);
  expect(server.getWorkerInfo().map(({ id, status }) => [id, status])).toEqual([['flood-0', 'available']]);
  expect(log.lines.filter((line) => line.level === 'warn' && /heartbeat|presumed dead/i.test(line.message))).toEqual(
    [],
  );
}, 60000);

test('that reading pauses is warned of, not once a message', async () => {
  const { server, port, log } = await startServer({ limits: { maxUnhandledBytes: 1 * MIB } });
  const count = countInOrder(server);
  const flood = await startFlood(port);
  const file = signalFile();
  const messages = 4000;
  await flood.ask('flood', { messages, bytes: 8192, file });
  expect(JSON.parse(blockUntilFile(file)).stalled).toBe(true);
  await until(() => count.total() === messages);
  const warnings = log.lines.filter((line) => line.level === 'warn');
  expect(warnings.length).toBeGreaterThan(0);
  expect(warnings.length).toBeLessThan(messages / 10);
}, 60000);

test('below the limit a connection is read on while the event loop is blocked', async () => {
  const { server, port } = await startServer({ limits: { maxUnhandledBytes: 64 * MIB } });
  const count = countInOrder(server);
  const flood = await startFlood(port);
  const file = signalFile();
  const messages = 4000;
  await flood.ask('flood', { messages, bytes: 8192, file });
  const { stalled, taken } = JSON.parse(blockUntilFile(file));
  expect(stalled).toBe(false);
  expect(taken).toBeGreaterThan(messages * 8192);
  await until(() => count.total() === messages);
  expect(count.gaps).toEqual([]);
}, 60000);
