'use strict';

// Bugs that other libraries shipped when they let workers and servers leave in peace. Each test has the name of one.

const { startProgram } = require('../support/program.js');
const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { sayStatus, statusOf } = require('./support/worker-status.js');
const { connectedWorker, deferred, runWorker } = require('../worker/support/workers.js');
const { startDifficultServer } = require('../worker/support/difficult-server.js');

async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

describe('it does not happen that', () => {
  test('a heartbeat undoes the drain', async () => {
    const { server } = await startServer();
    const worker = await connectRequestWorker(server);
    await sayStatus(worker, 'draining');
    const waits = server.request('waits');
    await worker.heartbeat();
    expect([statusOf(server), server.getQueueInfo().size]).toEqual(['draining', 1]);
    const successor = await connectRequestWorker(server, 'successor');
    successor.answer(await successor.nextRequest(), 'result', { data: 'of the successor' });
    expect(await waits).toBe('of the successor');
  });

  test('the last heartbeat is not recorded while draining', async () => {
    const { server } = await startServer();
    const worker = await connectRequestWorker(server);
    await sayStatus(worker, 'draining');
    const heardAt = () => server.getWorkerInfo()[0].lastHeartbeat.getTime();
    const before = heardAt();
    await until(() => Date.now() > before);
    await worker.heartbeat();
    expect(heardAt()).toBeGreaterThan(before);
  });

  test('a drain is not immediate', async () => {
    const { server } = await startServer();
    const worker = await connectRequestWorker(server, 'w', { slots: 2 });
    const first = server.request('first');
    server.setWorkerStatus('w', 'draining');
    const second = server.request('second');
    expect([server.getQueueInfo().size, server.getAvailableWorker('m')]).toEqual([1, null]);
    worker.answer(await worker.nextRequest(), 'result');
    await first;
    expect(server.getQueueInfo().size).toBe(1);
    server.setWorkerStatus('w', 'available');
    expect(server.getQueueInfo().size).toBe(0);
    const request = await worker.nextRequest();
    expect(request.payload).toBe('second');
    worker.answer(request, 'result');
    await second;
  });

  test('graceful shutdown drops requests', async () => {
    const { server } = await startServer();
    const gate = deferred();
    const worker = runWorker(server, {
      capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 1 },
      async *handler(payload) {
        yield `begun ${payload}`;
        await gate.promise;
        yield `ended ${payload}`;
        return payload;
      },
    });
    const streams = [1, 2, 3].map((payload) => server.stream(payload));
    const [running] = streams;
    expect(await running.next()).toEqual({ done: false, value: 'begun 1' });
    const drained = server.drain();
    gate.resolve();
    expect(await drained).toEqual({ drained: true, remaining: 0 });
    await server.stop();
    expect(await Promise.all(streams.map(chunksOf))).toEqual([
      ['ended 1'],
      ['begun 2', 'ended 2'],
      ['begun 3', 'ended 3'],
    ]);
    expect(await Promise.all(streams.map(({ result }) => result))).toEqual([1, 2, 3]);
    await worker.close();
  });

  test('heartbeats stop before the last request has ended', async () => {
    const { server } = await startServer({ heartbeatIntervalMs: 10 });
    const gate = deferred();
    const worker = runWorker(server, { handler: () => gate.promise });
    const answer = server.request({});
    await until(() => server.getWorkerInfo()[0]?.activeRequests === 1);
    const left = worker.drain();
    await until(() => statusOf(server) === 'draining');
    for (let beats = 0; beats < 3; beats += 1) {
      const before = server.getWorkerInfo()[0].lastHeartbeat.getTime();
      await until(() => server.getWorkerInfo()[0].lastHeartbeat.getTime() > before);
    }
    gate.resolve('ended in peace');
    expect(await answer).toBe('ended in peace');
    await left;
  });

  test('two handlers of one signal fight', async () => {
    const { code, signal, stdout } = await startProgram('requests/programs/both-drain.js').exit;
    expect([code, signal]).toEqual([0, null]);
    expect(stdout.split('\n')).toEqual([
      'server draining, worker draining',
      'result done',
      'worker closed',
      'server stopped, listeners 0',
      '',
    ]);
  });

  test('a late ack keeps shutdown waiting', async () => {
    // Of a request that nobody waits for any more: the server leaves without it.
    const { server } = await startServer();
    const worker = await connectRequestWorker(server, 'w', { slots: 1 });
    const controller = new AbortController();
    const aborted = rejection(server.request({}, { signal: controller.signal }));
    const request = await worker.nextRequest();
    const drained = server.drain({ timeoutMs: Infinity });
    controller.abort();
    await aborted;
    expect(await drained).toEqual({ drained: true, remaining: 0 });
    worker.answer(request, 'ack');
    await server.stop();
    // Of the worker's wish to drain: the worker leaves without it when its time is up.
    const difficult = await startDifficultServer({ acksStatus: false });
    const { worker: leaving, connection } = await connectedWorker(difficult, { drainTimeoutMs: 30 });
    await leaving.drain();
    expect(await connection.closed).toMatchObject({ code: 1000 });
    await leaving.ended;
  });
});
