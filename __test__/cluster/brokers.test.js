'use strict';

// Fleets over real brokers, by each client that the adapters take.

const { CLIENTS, connectBy, startBroker, testWithBroker } = require('../support/broker.js');
const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

/** A fleet of two nodes, each with connections of its own. */
async function startOn(name, broker, options) {
  const connections = [];
  const servers = await startFleet(['a', 'b'], options, async () => {
    const connection = await connectBy(name, broker.port);
    connections.push(connection);
    return connection.adapter;
  });
  return { servers, connections };
}

describe.each(Object.keys(CLIENTS))('over %s', (name) => {
  const kind = CLIENTS[name].broker;
  const run = testWithBroker(kind);

  run('requests and streams reach the workers of the other node', async () => {
    const broker = await startBroker(kind);
    const { servers } = await startOn(name, broker);
    const [a, b] = servers;
    const worker = await connectRequestWorker(b, 'w');
    await untilWorkers([a], 1);
    const payload = { text: 'ä€😀'.repeat(100_000) };
    const result = a.request(payload);
    const request = await worker.nextRequest();
    expect(request.payload).toEqual(payload);
    worker.answer(request, 'result', { data: payload });
    await expect(result).resolves.toEqual(payload);
    const stream = a.stream('x');
    const second = await worker.nextRequest();
    for (let seq = 0; seq < 200; seq += 1) worker.answer(second, 'chunk', { seq, data: seq });
    worker.answer(second, 'result', { data: 'end' });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks).toEqual(Array.from({ length: 200 }, (_, seq) => seq));
    await expect(stream.result).resolves.toBe('end');
  });

  run('a broker that is away for less than timeoutMs loses nothing and doubles nothing', async () => {
    const broker = await startBroker(kind);
    const { servers } = await startOn(name, broker, { cluster: { heartbeatMs: 100, timeoutMs: 15_000 } });
    const [a, b] = servers;
    const worker = await connectRequestWorker(b, 'w', { slots: 100 });
    await untilWorkers([a], 1);
    const stream = a.stream('stream');
    const streamed = await worker.nextRequest();
    worker.answer(streamed, 'chunk', { seq: 0, data: 0 });
    expect((await stream.next()).value).toBe(0);
    await broker.kill();
    const during = Array.from({ length: 20 }, (_, n) => a.request(n));
    for (let seq = 1; seq < 50; seq += 1) worker.answer(streamed, 'chunk', { seq, data: seq });
    worker.answer(streamed, 'result', { data: 'end' });
    await worker.sync();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await broker.start();
    const seen = [];
    for (let count = 0; count < 20; count += 1) {
      const request = await worker.nextRequest();
      seen.push(request.payload);
      worker.answer(request, 'result', { data: request.payload });
    }
    await expect(Promise.all(during)).resolves.toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(seen.sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks).toEqual(Array.from({ length: 49 }, (_, n) => n + 1));
    expect(worker.unread.filter(({ type }) => type === 'request')).toEqual([]);
    expect(a.getClusterInfo().nodes).toHaveLength(2);
  });

  run('stop() leaves the caller’s connections open, and a stopped server can join again over them', async () => {
    const broker = await startBroker(kind);
    const { servers, connections } = await startOn(name, broker);
    const [a, b] = servers;
    await a.stop();
    await until(() => b.getClusterInfo().nodes.length === 1);
    expect(connections.map((connection) => connection.isOpen())).toEqual([true, true]);
    await a.start();
    await until(() => b.getClusterInfo().nodes.length === 2);
  });
});
