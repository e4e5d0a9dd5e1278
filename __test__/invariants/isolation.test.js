'use strict';

// Servers in worker_threads, and processes that end: see the tests of exits.

const { startServer, createServer, nextCall, until } = require('../support/server');
const { request, answering } = require('../support/http');
const { openSocket, openWorker } = require('../support/socket');

test('I8: two servers in one process share nothing', async () => {
  const a = await startServer({ authToken: 'token of a' }, (server) => {
    server.addHttpHandler(answering('a'));
    server.addWebSocketEndpoint('/e', (ws) => ws.send('endpoint of a'));
  });
  const b = await startServer({ heartbeatIntervalMs: 1234 }, (server) => server.addHttpHandler(answering('b')));
  const notes = [];
  a.server.onWorkerMessage('note', (worker) => notes.push(`a ${worker.name}`));
  b.server.onWorkerMessage('note', (worker) => notes.push(`b ${worker.name}`));
  // The same id at both.
  const atA = await openWorker(a.port, 'w', { authToken: 'token of a', workerName: 'one' });
  const atB = await openWorker(b.port, 'w', { workerName: 'two' });
  expect([atA.ack.heartbeatIntervalMs, atB.ack.heartbeatIntervalMs]).toEqual([15000, 1234]);
  a.server.trackRequest('w', 'r');
  expect([a, b].map(({ server }) => server.getWorkerInfo()[0].activeRequests)).toEqual([1, 0]);
  b.server.releaseRequest('r');
  expect(a.server.getWorkerInfo()[0].activeRequests).toBe(1);
  a.server.broadcast({ to: 'a' });
  b.server.broadcast({ to: 'b' });
  expect([await atA.nextJson(), await atB.nextJson()]).toEqual([{ to: 'a' }, { to: 'b' }]);
  atA.send({ type: 'note' });
  await until(() => notes.length === 1);
  atB.send({ type: 'note' });
  await until(() => notes.length === 2);
  expect(notes).toEqual(['a one', 'b two']);
  expect([(await request(a.port)).text, (await request(b.port)).text]).toEqual(['a', 'b']);
  expect(await (await openSocket(a.port, '/e')).next()).toBe('endpoint of a');
  expect((await openWorker(b.port, 'at e', {}, '/e')).ack.success).toBe(true);
});

test('I8: the stop of one server leaves the other alone', async () => {
  const a = await startServer();
  const b = await startServer();
  const atA = await openWorker(a.port, 'w');
  const atB = await openWorker(b.port, 'w');
  await a.server.stop();
  await atA.closed;
  atB.send({ type: 'heartbeat', workerId: 'w', timestamp: 't' });
  expect((await atB.nextJson()).type).toBe('heartbeat_ack');
  expect([a.server.getWorkerCount(), b.server.getWorkerCount()]).toEqual([0, 1]);
});

test('I8: one server can start within a handler of another', async () => {
  const a = await startServer();
  const { server: b } = createServer();
  const started = nextCall((resolve) =>
    a.server.onWorkerConnected(async () => {
      await b.start();
      resolve();
    }),
  );
  await openWorker(a.port, 'w');
  await started;
  expect((await openWorker(b.port, 'w')).ack.success).toBe(true);
});

test('I8: a server can be started and stopped a hundred times, with workers each time', async () => {
  const { server } = createServer();
  const connected = [];
  server.onWorkerConnected((worker) => connected.push(worker.id));
  for (let round = 0; round < 100; round += 1) {
    await server.start();
    const worker = await openWorker(server.port, `w${round}`);
    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual([`w${round}`]);
    await server.stop();
    expect((await worker.closed).code).toBe(1001);
    expect(server.getWorkerCount()).toBe(0);
  }
  expect(connected).toEqual(Array.from({ length: 100 }, (_, round) => `w${round}`));
});

test('I8: ten servers run at once', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => startServer()));
  const workers = await Promise.all(all.flatMap(({ port }, i) => [0, 1, 2].map((n) => openWorker(port, `${i}-${n}`))));
  expect(new Set(workers.map((worker) => worker.ack.sessionId)).size).toBe(30);
  all.forEach(({ server }, i) => {
    expect(
      server
        .getWorkerInfo()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([`${i}-0`, `${i}-1`, `${i}-2`]);
  });
});
