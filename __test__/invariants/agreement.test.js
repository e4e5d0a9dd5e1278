'use strict';

const { startServer, nextCall, until } = require('../support/server');
const { openWorker } = require('../support/socket');
const { RawWebSocket, json } = require('../support/raw');

/** What all queries say of the workers. */
function ask(server) {
  return {
    count: server.getWorkerCount(),
    available: server.getAvailableWorkerCount(),
    slots: server.getAvailableSlotCount('model'),
    selected: server.getAvailableWorker('model')?.id ?? null,
    any: server.getAnyAvailableWorker()?.id ?? null,
    ids: server.getWorkerInfo().map(({ id }) => id),
  };
}

const NOBODY = { count: 0, available: 0, slots: 0, selected: null, any: null, ids: [] };
const only = (id, slots = 4) => ({ count: 1, available: 1, slots, selected: id, any: id, ids: [id] });

test('I3: in the connected handler every query knows the worker, and it can be sent to and tracked', async () => {
  const { server, port } = await startServer();
  const seen = [];
  server.onWorkerConnected((worker) => {
    seen.push(ask(server));
    server.trackRequest(worker.id, 'r');
    seen.push([server.send(worker.id, { type: 'work' }), ask(server).slots, server.getWorkerInfo()[0].activeRequests]);
  });
  const worker = await openWorker(port, 'w');
  expect(seen).toEqual([only('w'), [true, 3, 1]]);
  expect(await worker.nextJson()).toEqual({ type: 'work' });
});

test('I3: in the disconnected handler no query knows the worker any more', async () => {
  const { server, port } = await startServer();
  const disconnected = nextCall((resolve) =>
    server.onWorkerDisconnected((worker, pending) => {
      server.trackRequest('w', 'too late');
      resolve(worker.id, [...pending], ask(server), server.send('w', { type: 'work' }));
    }),
  );
  const worker = await openWorker(port, 'w');
  server.trackRequest('w', 'r');
  worker.ws.close();
  expect(await disconnected).toEqual(['w', ['r'], NOBODY, false]);
});

test('I3: in a message handler every query agrees with the worker that it is given', async () => {
  const { server, port } = await startServer();
  const seen = [];
  server.onWorkerMessage('note', (worker) => {
    const [info] = server.getWorkerInfo();
    seen.push([
      worker.id,
      worker.sessionId === info.sessionId,
      worker.activeRequests === info.activeRequests,
      info.activeRequests,
    ]);
    server.trackRequest('w', `r${seen.length}`);
  });
  const worker = await openWorker(port, 'w');
  for (let n = 0; n < 3; n += 1) worker.send({ type: 'note' });
  await until(() => seen.length === 3);
  expect(seen).toEqual([0, 1, 2].map((active) => ['w', true, true, active]));
});

test('I3: a message in the same packet as the end is handled while the worker is still in the pool', async () => {
  const { server, port } = await startServer();
  const seen = [];
  server.onWorkerMessage('last words', () => seen.push(server.getWorkerCount()));
  server.onWorkerDisconnected(() => seen.push(server.getWorkerCount()));
  const raw = await RawWebSocket.register(port, 'w');
  raw.socket.end(json({ type: 'last words' }));
  await until(() => seen.length === 2);
  expect(seen).toEqual([1, 0]);
});

test('I3: once a worker has its acknowledgement, queries show it', async () => {
  const { server, port } = await startServer();
  for (let n = 1; n <= 300; n += 1) {
    const id = `w${n}`;
    const worker = await openWorker(port, id, {
      capabilities: { models: [{ modelId: `model-of-${n}.` }], maxConcurrentRequests: 2 },
    });
    expect(worker.ack.success).toBe(true);
    expect([server.getWorkerCount(), server.getAvailableWorker(`model-of-${n}.`)?.id]).toEqual([n, id]);
    expect(server.getWorkerInfo().at(-1).sessionId).toBe(worker.ack.sessionId);
  }
});

test('I3: once a worker has the answer to its heartbeat, queries show the heartbeat', async () => {
  const { server, port } = await startServer({ heartbeatTimeoutMs: 200, healthCheckIntervalMs: 20 });
  const worker = await openWorker(port, 'w');
  await until(() => server.getWorkerInfo()[0].status === 'unhealthy');
  expect(server.getAvailableWorker('model')).toBeNull();
  const before = Date.now();
  worker.send({ type: 'heartbeat', workerId: 'w', timestamp: 'then' });
  expect((await worker.nextJson()).timestamp).toBe('then');
  const [info] = server.getWorkerInfo();
  expect([info.status, info.lastHeartbeat.getTime() >= before - 1]).toEqual(['available', true]);
});

test('I3: in the handlers of a replacement the old session is out and the new one in', async () => {
  const { server, port } = await startServer();
  await openWorker(port, 'w');
  server.trackRequest('w', 'r');
  const seen = [];
  server.onWorkerDisconnected((worker, pending) => seen.push([...pending], ask(server)));
  server.onWorkerConnected(() => seen.push(ask(server)));
  await openWorker(port, 'w');
  expect(seen).toEqual([['r'], NOBODY, only('w')]);
});

test('I3: a request that is released in a handler is released for the next query', async () => {
  const { server, port } = await startServer();
  const capabilities = { models: [{ modelId: 'model' }], maxConcurrentRequests: 1 };
  const worker = await openWorker(port, 'w', { capabilities });
  server.trackRequest('w', 'r');
  expect(server.getAvailableWorker('model')).toBeNull();
  const released = nextCall((resolve) =>
    server.onWorkerMessage('result', (from, { requestId }) => {
      server.releaseRequest(requestId, { incrementCompleted: true });
      resolve(ask(server), server.getWorkerInfo()[0].completedRequests);
    }),
  );
  worker.send({ type: 'result', requestId: 'r' });
  expect(await released).toEqual([only('w', 1), 1]);
});
