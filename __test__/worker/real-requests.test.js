'use strict';

// request() and stream() of the package's own server with this worker, over lines that are cut.

const net = require('node:net');
const { once } = require('node:events');
const { onCleanup } = require('../support/cleanup.js');
const { startServer, nextCall } = require('../support/server.js');
const { EACH_WAY, aborted, createWorker, deferred } = require('./support/workers.js');

/** A relay to a server whose connections can be cut. */
async function startRelay(port) {
  const sockets = new Set();
  const relay = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onCleanup(() => {
    cut();
    return new Promise((resolve) => relay.close(resolve));
  });
  return { port: relay.address().port, cut };
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  async function start(handler, options = {}, serverOptions = {}) {
    const { server, log } = await startServer({ heartbeatIntervalMs: 50, ...serverOptions });
    const relay = await startRelay(server.port);
    const connected = nextCall((subscribe) => server.onWorkerConnected(subscribe));
    const worker = createWorker(relay, { isolate, handler, ...options });
    worker.ended = worker.run();
    await connected;
    return { server, log, relay, worker };
  }

  test('a result beyond the server’s maxMessageBytes is the caller’s error, once, and the worker goes on', async () => {
    const limits = { maxMessageBytes: 64 * 1024 };
    const { server } = await start((size) => 'x'.repeat(size), {}, { limits });
    const error = await server.request(128 * 1024, { model: 'm' }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'WORKER_ERROR', attempts: 1, data: { code: 'MESSAGE_TOO_BIG' } });
    expect(await server.request(10, { model: 'm' })).toBe('x'.repeat(10));
  });

  test('a request gets its result, its progress and its errors', async () => {
    const { server } = await start(async (payload, { progress, model }) => {
      if (payload === 'fail') throw Object.assign(new Error('no'), { code: 'E_NO', data: 5 });
      progress('half');
      return { payload, model };
    });
    const progress = [];
    expect(await server.request(1, { model: 'm', onProgress: (data) => progress.push(data) })).toEqual({
      payload: 1,
      model: 'm',
    });
    expect(progress).toEqual(['half']);
    await expect(server.request('fail')).rejects.toMatchObject({
      code: 'WORKER_ERROR',
      message: 'no',
      data: { message: 'no', code: 'E_NO', data: 5 },
    });
  });

  test('an abort reaches the handler, and its slot is free when it has returned', async () => {
    const reasons = [];
    const { server } = await start(
      async (payload, { signal }) => (payload === 'hang' ? reasons.push((await aborted(signal)).code) : payload),
      { capabilities: { models: [], maxConcurrentRequests: 1 } },
    );
    const controller = new AbortController();
    const hanging = server.request('hang', {
      signal: controller.signal,
      onStarted: () => setTimeout(() => controller.abort(new Error('mine')), 20),
    });
    await expect(hanging).rejects.toThrow('mine');
    expect(await server.request('next')).toBe('next');
    expect(reasons).toEqual(['ABORTED']);
  });

  test('a stream over a line that is cut arrives whole, once and in order', async () => {
    let calls = 0;
    const { server, relay } = await start(async function* numbers() {
      calls += 1;
      for (let n = 0; n < 120; n += 1) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        yield n;
      }
      return 'end';
    });
    const stream = server.stream({});
    const received = [];
    for await (const n of stream) {
      received.push(n);
      if (n % 40 === 20) relay.cut();
    }
    expect(received).toEqual(Array.from({ length: 120 }, (_value, n) => n));
    expect(await stream.result).toBe('end');
    expect(calls).toBe(1);
  });

  test('a result that is ready while the line is cut arrives, and the handler ran once', async () => {
    const gate = deferred();
    let calls = 0;
    const { server, relay } = await start(async () => {
      calls += 1;
      await gate.promise;
      return 42;
    });
    const started = deferred();
    const result = server.request({}, { onStarted: started.resolve });
    await started.promise;
    // Its ack says that it runs.
    while (calls === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    relay.cut();
    gate.resolve();
    expect(await result).toBe(42);
    expect(calls).toBe(1);
  });

  test('an update changes what the server knows, or rejects with its words', async () => {
    const { server, worker } = await start(() => 1);
    const capabilities = { models: [{ modelId: 'new' }], maxConcurrentRequests: 3 };
    await worker.update(capabilities);
    expect(server.getWorkerInfo()[0].capabilities).toEqual(capabilities);
    await expect(worker.update({ models: 'none', maxConcurrentRequests: 3 })).rejects.toThrow(
      /^Invalid update: capabilities\.models/,
    );
    expect(server.getWorkerInfo()[0].capabilities).toEqual(capabilities);
  });

  test('a worker that drains finishes what it has, gets nothing new, and leaves', async () => {
    const gate = deferred();
    const { server, worker } = await start(() => gate.promise);
    const started = deferred();
    const result = server.request({}, { onStarted: started.resolve });
    await started.promise;
    const updated = nextCall((subscribe) => server.onWorkerUpdated(subscribe));
    const drained = worker.drain();
    expect((await updated)[0].status).toBe('draining');
    gate.resolve('done');
    expect(await result).toBe('done');
    await drained;
    await worker.ended;
  });
});
