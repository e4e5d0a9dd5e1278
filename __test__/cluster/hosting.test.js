'use strict';

// What the node of a worker does with requests of others: what it says leaves at once, and nothing of them is kept.

const { ClusterNode } = require('../../lib/cluster/node.js');
const { Owner } = require('../../lib/server/fleet/owner.js');
const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

afterEach(() => jest.restoreAllMocks());

/** A node without a server, whose driver counts when it is asked to publish. */
function bareNode(nodeId) {
  const bare = { hosted: [], said: 0 };
  const local = new Proxy(
    {
      directory: { add() {}, forget() {} },
      totals: () => ({ workers: 0, slots: 0, busy: 0, waiting: 0 }),
      wants: () => [],
      host: (_claim, _text, hosted) => bare.hosted.push(hosted),
      onSaid: () => (bare.said += 1),
    },
    { get: (own, name) => own[name] ?? (() => {}) },
  );
  const makeNonce = () => `nonce of ${nodeId}`;
  const times = { heartbeatMs: 1_000, timeoutMs: 5_000 };
  bare.node = new ClusterNode({ name: 'f', nodeId, start: nodeId, ...times, makeNonce }, local);
  return bare;
}

function exchange(bares) {
  for (let hasSaid = true; hasSaid;) {
    hasSaid = false;
    for (const { node } of bares) {
      for (const { channel, bytes } of node.takeOutgoing(0)) {
        hasSaid = true;
        for (const other of bares) if (other.node.channels.includes(channel)) other.node.receive(channel, bytes, 0);
      }
    }
  }
}

test('all that becomes of a request leaves at once: its driver is notified, and waits for no acknowledgement', () => {
  const bares = [bareNode('a'), bareNode('b')];
  for (const { node } of bares) node.start(0);
  exchange(bares);
  const [a, b] = bares;
  const heard = [];
  const listener = new Proxy({}, { get: (_own, name) => () => heard.push(name) });
  const ends = [
    (hosted) => hosted.result('{}', true),
    (hosted) => hosted.error({ code: 'WORKER_LOST', message: 'lost', isRetryable: true }),
    (hosted) => hosted.rejected('w'),
    (hosted) => hosted.declined('room'),
  ];
  for (const end of ends) {
    a.node.claim('b', { id: 'r' }, undefined, listener);
    exchange(bares);
    const hosted = b.hosted.pop();
    const says = [
      () => hosted.taken({ id: 'w' }, 1),
      () => hosted.progress('{}', true),
      () => hosted.chunk('{}', true, 2),
      () => hosted.away(),
      () => hosted.back({ id: 'w' }),
      () => end(hosted),
    ];
    for (const say of says) {
      const before = b.said;
      say();
      expect(b.said).toBe(before + 1);
    }
    b.node.forget(hosted);
    exchange(bares);
  }
  const all = ['onTaken', 'onProgress', 'onChunk', 'onAway', 'onBack'];
  expect(heard).toEqual(['onResult', 'onError', 'onRejected', 'onDeclined'].flatMap((end) => [...all, end]));
});

test('nothing of a request of another node is kept when it is over, however it has ended', async () => {
  const forget = jest.spyOn(Owner.prototype, 'forget');
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b, 'w', { slots: 10 });
  await untilWorkers([a], 1);
  const controller = new AbortController();
  const ended = [
    a.request('result'),
    rejection(a.request('error')),
    a.stream('stream').result,
    rejection(a.request('abort', { signal: controller.signal })),
  ];
  for (let count = 0; count < 4; count += 1) {
    const request = await worker.nextRequest();
    if (request.payload === 'error') worker.answer(request, 'error', { error: { message: 'no' } });
    else if (request.payload !== 'abort') worker.answer(request, 'result');
    else {
      controller.abort();
      await worker.next('request_cancel');
      worker.answer(request, 'result');
    }
  }
  await Promise.all(ended);
  await until(() => b.getWorkerInfo()[0].activeRequests === 0);
  await until(() => forget.mock.calls.length === 4);
  expect(new Set(forget.mock.calls.map(([hosted]) => hosted)).size).toBe(4);
});
