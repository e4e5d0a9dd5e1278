'use strict';

// Registering an id that is connected, from another socket or from the same.

const { startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

/** Records what the handlers get, in order. */
function recordEvents(server) {
  const events = [];
  server.onWorkerConnected(({ id, sessionId }) => events.push(['connected', id, sessionId]));
  server.onWorkerDisconnected(({ id, sessionId }, pending) => {
    events.push(['disconnected', id, sessionId, [...pending]]);
  });
  return events;
}

describe('from another socket', () => {
  test('the old socket is closed with 4003 and the new worker takes its place', async () => {
    const { server } = await startServer();
    const events = recordEvents(server);
    const old = await connectWorker(server, 'w');
    const fresh = await connectWorker(server, 'w');
    expect(await old.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
    expect(server.getWorkerInfo().map(({ sessionId }) => sessionId)).toEqual([fresh.ack.sessionId]);
    expect(events).toEqual([
      ['connected', 'w', old.ack.sessionId],
      ['connected', 'w', fresh.ack.sessionId],
    ]);
    server.send('w', { type: 'x' });
    await fresh.next('x');
    expect(old.frames).toHaveLength(1);
  });

  test('the close of the old socket removes nothing', async () => {
    const { server } = await startServer();
    const disconnected = jest.fn();
    server.onWorkerDisconnected(disconnected);
    const old = await connectWorker(server, 'w');
    const fresh = await connectWorker(server, 'w');
    await old.closed;
    await fresh.sync();
    await fresh.sync();
    expect(server.getWorkerCount()).toBe(1);
    expect(disconnected).not.toHaveBeenCalled();
  });

  test('pending requests of the old session end in its disconnected event, before the new one connects', async () => {
    const { server, log } = await startServer();
    const events = recordEvents(server);
    const old = await connectWorker(server, 'w');
    server.trackRequest('w', 'r1', 'chat');
    server.trackRequest('w', 'r2');
    const fresh = await connectWorker(server, 'w');
    expect(events).toEqual([
      ['connected', 'w', old.ack.sessionId],
      ['disconnected', 'w', old.ack.sessionId, ['r1', 'r2']],
      ['connected', 'w', fresh.ack.sessionId],
    ]);
    expect(log.contexts('Replaced worker had pending requests')).toEqual([{ workerId: 'w', count: 2 }]);
    const [info] = server.getWorkerInfo();
    expect(info.activeRequests).toBe(0);
    expect(info.pendingRequestIds.size).toBe(0);
    server.releaseRequest('r1', { incrementCompleted: true });
    expect(server.getWorkerInfo()[0].completedRequests).toBe(0);
  });

  test('during the disconnected event the old session is out of the pool already', async () => {
    const { server } = await startServer();
    await connectWorker(server, 'w');
    server.trackRequest('w', 'r1');
    const seen = new Promise((resolve) => {
      server.onWorkerDisconnected(() => {
        resolve([server.getWorkerCount(), server.getAvailableWorker('model-a'), server.send('w', { type: 'x' })]);
      });
    });
    await connectWorker(server, 'w');
    expect(await seen).toEqual([0, null, false]);
  });

  test('the new worker is the last in registration order', async () => {
    const { server } = await startServer();
    for (const id of ['a', 'b', 'a']) await connectWorker(server, id);
    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['b', 'a']);
    expect(server.getAnyAvailableWorker().id).toBe('b');
    expect(server.getAvailableWorker('model-a').id).toBe('b');
  });

  test('the new capabilities hold', async () => {
    const { server } = await startServer();
    await connectWorker(server, 'w');
    await connectWorker(server, 'w', { capabilities: { models: [{ modelId: 'other' }], maxConcurrentRequests: 5 } });
    expect(server.getAvailableWorker('model-a')).toBeNull();
    expect(server.getAvailableSlotCount('other')).toBe(5);
  });

  test('a message that the old socket sends afterwards comes from an unknown worker, or not at all', async () => {
    const { server } = await startServer();
    const ids = [];
    server.onWorkerMessage('late', (worker) => ids.push(worker.id));
    const old = await connectWorker(server, 'w');
    server.onWorkerConnected(() => old.send({ type: 'late' }));
    const fresh = await connectWorker(server, 'w');
    await old.closed;
    await fresh.sync();
    expect(ids.filter((id) => id !== 'unknown')).toEqual([]);
  });

  test('replacing a worker a hundred times leaves one', async () => {
    const { server } = await startServer();
    const workers = [];
    for (let i = 0; i < 100; i += 1) workers.push(await connectWorker(server, 'w'));
    const last = workers.pop();
    const closings = await Promise.all(workers.map((worker) => worker.closed));
    expect(new Set(closings.map(({ code }) => code))).toEqual(new Set([4003]));
    expect(server.getWorkerInfo().map(({ sessionId }) => sessionId)).toEqual([last.ack.sessionId]);
  });
});

describe('on the same socket', () => {
  test('the same id starts a new session in place and the socket stays', async () => {
    const { server } = await startServer();
    const events = recordEvents(server);
    const worker = await connectWorker(server, 'w');
    const first = worker.ack.sessionId;
    const second = (await worker.register('w', { workerName: 'Again' })).sessionId;
    expect(second).not.toBe(first);
    expect(events).toEqual([
      ['connected', 'w', first],
      ['connected', 'w', second],
    ]);
    expect(server.getWorkerInfo()).toMatchObject([{ id: 'w', name: 'Again', sessionId: second }]);
    await worker.heartbeat();
    expect((await worker.sync()).sessionId).toBe(second);
  });

  test('the same id with pending requests has the disconnected event of the old session first', async () => {
    const { server } = await startServer();
    const events = recordEvents(server);
    const worker = await connectWorker(server, 'w');
    const first = worker.ack.sessionId;
    server.trackRequest('w', 'r1');
    const second = (await worker.register('w')).sessionId;
    expect(events).toEqual([
      ['connected', 'w', first],
      ['disconnected', 'w', first, ['r1']],
      ['connected', 'w', second],
    ]);
    expect(server.getWorkerInfo()[0].activeRequests).toBe(0);
  });

  test('another id: the old worker leaves and the socket stands for the new one', async () => {
    const { server } = await startServer();
    const events = recordEvents(server);
    const worker = await connectWorker(server, 'a');
    server.trackRequest('a', 'r1');
    const { sessionId } = await worker.register('b');
    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['b']);
    expect(events.slice(1)).toEqual([
      ['disconnected', 'a', worker.ack.sessionId, ['r1']],
      ['connected', 'b', sessionId],
    ]);
    expect(server.send('a', { type: 'x' })).toBe(false);
    expect(server.send('b', { type: 'x' })).toBe(true);
    await worker.next('x');
    expect((await worker.sync()).id).toBe('b');
  });

  test('another id that is connected elsewhere replaces that one, too', async () => {
    const { server } = await startServer();
    const other = await connectWorker(server, 'b');
    const worker = await connectWorker(server, 'a');
    await worker.register('b');
    expect(await other.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
    expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['b']);
    expect((await worker.sync()).id).toBe('b');
  });

  test('when the socket closes the last session leaves, once', async () => {
    const { server, log } = await startServer();
    const worker = await connectWorker(server, 'a');
    await worker.register('b');
    const disconnected = jest.fn();
    server.onWorkerDisconnected((info) => disconnected(info.id));
    await worker.close();
    await log.line('Worker disconnected');
    expect(disconnected.mock.calls).toEqual([['b']]);
    expect(server.getWorkerCount()).toBe(0);
  });
});
