'use strict';

// How nodes come into a fleet, leave it, and share worker ids.

const { EventEmitter } = require('node:events');
const { memoryAdapter } = require('../../lib/cluster');
const { startFleet, startNode, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { createServer, until } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

test('getClusterInfo lists the nodes by id, itself included, with their workers, slots and what waits', async () => {
  const [b, a] = await startFleet(['b', 'a']);
  const worker = await connectRequestWorker(b, 'w', { slots: 2 });
  await untilWorkers([a], 1);
  const running = [a.request(1), a.request(2)];
  const waiting = a.request(3);
  await worker.nextRequest();
  await worker.nextRequest();
  const seen = () => a.getClusterInfo().nodes.map(({ lastSeenMs: _lastSeenMs, ...node }) => node);
  await until(() => seen()[1].busy === 2);
  expect(a.getClusterInfo().nodeId).toBe('a');
  expect(seen()).toEqual([
    { nodeId: 'a', self: true, workers: 0, slots: 0, busy: 0, waiting: 1 },
    { nodeId: 'b', self: false, workers: 1, slots: 2, busy: 2, waiting: 0 },
  ]);
  const [own, other] = a.getClusterInfo().nodes;
  expect(own.lastSeenMs).toBe(0);
  expect(other.lastSeenMs).toBeGreaterThanOrEqual(0);
  await until(() => b.getClusterInfo().nodes[0].waiting === 1);
  for (const result of [...running, waiting]) result.catch(() => {});
});

test('a nodeId that is not given is a UUID', async () => {
  const { server } = await startNode(memoryAdapter(), undefined);
  expect(server.getClusterInfo().nodeId).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});

test('nodes of another name do not see each other, on the same bus', async () => {
  const bus = new EventEmitter();
  const one = await startNode(memoryAdapter(bus), 'a', { cluster: { name: 'one' } });
  const other = await startNode(memoryAdapter(bus), 'a', { cluster: { name: 'two' } });
  await connectWorker(other.server, 'w');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(one.server.getClusterInfo().nodes).toHaveLength(1);
  expect(one.server.explain().workers).toEqual([]);
});

test('start() rejects while another node has the id, leaves nothing behind, and can be tried again', async () => {
  const adapter = memoryAdapter();
  const first = await startNode(adapter, 'same');
  const { server, log } = createServer({ cluster: { adapter, nodeId: 'same', heartbeatMs: 50, timeoutMs: 1_000 } });
  const error = await rejection(server.start());
  expect(error.message).toBe('Another node of the cluster has the id same');
  expect(log.all('Cluster could not be joined')).toEqual([
    { level: 'error', message: 'Cluster could not be joined', context: { error: error.message } },
  ]);
  expect([server.state, server.getClusterInfo()]).toEqual(['stopped', null]);
  expect(first.server.getClusterInfo().nodes).toHaveLength(1);
  await first.server.stop();
  await server.start();
  expect(server.getClusterInfo().nodes.map(({ nodeId }) => nodeId)).toEqual(['same']);
});

test('start() rejects if it can’t subscribe within timeoutMs, or if the broker refuses', async () => {
  const silent = { publish() {}, subscribe: () => new Promise(() => {}) };
  const { server } = createServer({ cluster: { adapter: silent, heartbeatMs: 20, timeoutMs: 100 } });
  await expect(server.start()).rejects.toThrow('The cluster could not be joined within 100 ms');
  const refusing = { publish() {}, subscribe: () => Promise.reject(new Error('no permission')) };
  const other = createServer({ cluster: { adapter: refusing } });
  await expect(other.server.start()).rejects.toThrow('no permission');
  const deaf = { publish() {}, subscribe: async () => () => {} };
  const third = createServer({ cluster: { adapter: deaf, heartbeatMs: 20, timeoutMs: 100 } });
  await expect(third.server.start()).rejects.toThrow('The cluster could not be joined within 100 ms');
  expect([server.state, other.server.state, third.server.state]).toEqual(['stopped', 'stopped', 'stopped']);
});

test('who stops says goodbye: the others see it leave at once, and end what ran on its workers', async () => {
  const [a, b] = await startFleet(['a', 'b'], { cluster: { heartbeatMs: 5_000, timeoutMs: 60_000 } });
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const lost = rejection(a.request('x'));
  await worker.nextRequest();
  await b.stop();
  expect(await lost).toMatchObject({ code: 'WORKER_LOST', attempts: 1, started: true, workerId: 'w' });
  expect(a.getClusterInfo().nodes).toHaveLength(1);
  expect(a.explain().text).toBe('no workers');
});

test('what a stopped node had waiting or running elsewhere is cancelled there', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const running = rejection(a.request('x', { requestId: 'r' }));
  await worker.nextRequest();
  await a.stop();
  expect(await running).toMatchObject({ code: 'SERVER_STOPPING' });
  expect(await worker.next('request_cancel')).toMatchObject({ requestId: 'r', attempt: 1, reason: 'stopping' });
});

test('a request whose node leaves goes on elsewhere, as its attempts allow', async () => {
  const [a, b, c] = await startFleet(['a', 'b', 'c']);
  const first = await connectRequestWorker(b, 'w1');
  await untilWorkers([a], 1);
  const result = a.request('x', { maxAttempts: 2 });
  await first.nextRequest();
  const second = await connectRequestWorker(c, 'w2');
  await untilWorkers([a], 2);
  await b.stop();
  const again = await second.nextRequest();
  expect(again.attempt).toBe(2);
  second.answer(again, 'result', { data: 'saved' });
  await expect(result).resolves.toBe('saved');
});

test('a node may stop and start again, and its workers are found again', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  await b.stop();
  await until(() => a.getClusterInfo().nodes.length === 1);
  await b.start();
  const worker = await connectRequestWorker(b);
  await untilWorkers([a], 1);
  const result = a.request('x');
  worker.answer(await worker.nextRequest(), 'result', { data: 1 });
  await expect(result).resolves.toBe(1);
});

test('of one worker id on two nodes the later one stays, and the other is closed with 4003', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const older = await connectRequestWorker(a, 'same');
  await untilWorkers([b], 1);
  const running = rejection(a.request('x'));
  await older.nextRequest();
  const newer = await connectRequestWorker(b, 'same');
  await expect(older.closed).resolves.toEqual({ code: 4003, reason: 'Replaced by new connection' });
  expect(await running).toMatchObject({ code: 'WORKER_LOST' });
  await untilWorkers([a, b], 1);
  expect([a.getWorkerCount(), b.getWorkerCount()]).toEqual([0, 1]);
  const result = a.request('y');
  newer.answer(await newer.nextRequest(), 'result', { data: 'here' });
  await expect(result).resolves.toBe('here');
});

test.each([
  ['later of the two, of which its node had heard before,', true, 'b'],
  ['one at the node with the higher id, where neither node had heard of the other,', false, 'b'],
])('of one worker id on both sides of a partition the %s stays when it heals', async (_name, hasHeard, stays) => {
  const bus = new EventEmitter();
  let isCut = false;
  // What a node says to others does not pass while the network is cut; each hears itself.
  const adapterFor = (nodeId) => {
    const inner = memoryAdapter(bus);
    const own = new Set();
    return {
      publish(channel, data) {
        if (!isCut) return inner.publish(channel, data);
        const copy = Uint8Array.from(data);
        setImmediate(() => {
          for (const { to, onMessage } of own) if (to === channel) onMessage(copy);
        });
        return undefined;
      },
      async subscribe(channel, onMessage) {
        const subscription = { nodeId, to: channel, onMessage };
        own.add(subscription);
        return inner.subscribe(channel, onMessage);
      },
    };
  };
  const [a, b] = await startFleet(['a', 'b'], undefined, adapterFor);
  const workers = {};
  if (hasHeard) {
    workers.a = await connectRequestWorker(a, 'same');
    await untilWorkers([b], 1);
  }
  isCut = true;
  await until(() => [a, b].every((server) => server.getClusterInfo().nodes.length === 1));
  workers.a ??= await connectRequestWorker(a, 'same');
  workers.b = await connectRequestWorker(b, 'same');
  expect([a.getWorkerCount(), b.getWorkerCount()]).toEqual([1, 1]);
  isCut = false;
  const goes = stays === 'b' ? 'a' : 'b';
  await expect(workers[goes].closed).resolves.toEqual({ code: 4003, reason: 'Replaced by new connection' });
  await untilWorkers([a, b], 1);
  const result = a.request('x');
  workers[stays].answer(await workers[stays].nextRequest(), 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
  expect([a.getWorkerCount(), b.getWorkerCount()]).toEqual(stays === 'b' ? [0, 1] : [1, 0]);
});

test('the close of an adapter is called when its server has stopped, and waited for', async () => {
  const adapter = memoryAdapter();
  const closed = jest.fn();
  const closing = { ...adapter, close: () => new Promise((resolve) => setTimeout(resolve, 50)).then(closed) };
  const { server } = await startNode(closing, 'a');
  const stopped = server.stop();
  expect(closed).not.toHaveBeenCalled();
  await stopped;
  expect(closed).toHaveBeenCalledTimes(1);
});

test('a resume works only at the node that has the session: elsewhere all is dropped, and that node ends it at once', async () => {
  const [a, b] = await startFleet(['a', 'b'], { limits: { resumeGraceMs: 60_000 } });
  const features = ['request', 'resume'];
  const worker = await connectRequestWorker(a, 'w', { features });
  const { sessionId } = worker.ack;
  const running = rejection(a.request('x', { requestId: 'r' }));
  await worker.nextRequest();
  await worker.die();
  await until(() => a.getWorkerCount() === 0);
  const requests = [{ requestId: 'r', attempt: 1, done: false }];
  const again = await connectRequestWorker(b, 'w', { features, resume: { sessionId, requests } });
  expect(again.ack).toMatchObject({ resumed: [], dropped: ['r'] });
  expect(await running).toMatchObject({ code: 'WORKER_LOST', started: true });
});

test('a forwarded request is resumed at the node of its worker', async () => {
  const [a, b] = await startFleet(['a', 'b']);
  const features = ['request', 'resume'];
  const worker = await connectRequestWorker(b, 'w', { features });
  await untilWorkers([a], 1);
  const stream = a.stream('x', { requestId: 'r' });
  const request = await worker.nextRequest();
  worker.answer(request, 'chunk', { seq: 0, data: 'one' });
  expect(await stream.next()).toEqual({ done: false, value: 'one' });
  await worker.die();
  await until(() => stream.worker === null);
  const resume = { sessionId: worker.ack.sessionId, requests: [{ requestId: 'r', attempt: 1, done: false }] };
  const again = await connectRequestWorker(b, 'w', { features, resume });
  expect(again.ack.resumed).toEqual([{ requestId: 'r', attempt: 1, nextSeq: 1 }]);
  await until(() => stream.worker !== null);
  again.answer(request, 'chunk', { seq: 1, data: 'two' });
  again.answer(request, 'result', { data: 'end' });
  expect(await stream.next()).toEqual({ done: false, value: 'two' });
  await expect(stream.result).resolves.toBe('end');
});

test('nodes that join and leave are told on debug', async () => {
  const adapter = memoryAdapter();
  const first = await startNode(adapter, 'a');
  const second = await startNode(adapter, 'b');
  await until(() => first.server.getClusterInfo().nodes.length === 2);
  await second.server.stop();
  await until(() => first.server.getClusterInfo().nodes.length === 1);
  const told = first.log.lines.filter(({ message }) => message.startsWith('Cluster'));
  expect(told).toEqual([
    { level: 'debug', message: 'Cluster node joined', context: { nodeId: 'b' } },
    { level: 'debug', message: 'Cluster node left', context: { nodeId: 'b' } },
  ]);
});

test('what an adapter cannot publish is told once, and stops nothing', async () => {
  const adapter = memoryAdapter();
  let isBroken = false;
  const moody = {
    ...adapter,
    publish: (channel, data) => (isBroken ? Promise.reject(new Error('away')) : adapter.publish(channel, data)),
  };
  const { server, log } = await startNode(moody, 'a', { cluster: { heartbeatMs: 20, timeoutMs: 100 } });
  isBroken = true;
  await log.line('Cluster connection lost');
  const told = log.lines.filter(({ message }) => message.startsWith('Cluster'));
  expect(told).toEqual([
    { level: 'warn', message: 'Cluster message not published', context: { error: 'away' } },
    { level: 'warn', message: 'Cluster connection lost' },
  ]);
  isBroken = false;
  await server.stop();
});
