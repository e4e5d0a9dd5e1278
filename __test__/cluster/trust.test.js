'use strict';

// Who is believed on the broker: a stranger, a replay, another fleet and another version are not.

const { ClusterNode } = require('../../lib/cluster/node.js');
const { MAX_MESSAGE_BYTES, Sealer, packet } = require('../../lib/cluster/envelope.js');
const { EventEmitter } = require('node:events');
const { memoryAdapter } = require('../../lib/cluster');
const { startNode, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

/** A bus that keeps all that was published on it. */
function recordedBus() {
  const bus = new EventEmitter();
  const adapter = memoryAdapter(bus);
  const published = [];
  const recording = {
    ...adapter,
    publish: (channel, data) => {
      published.push({ channel, data: Uint8Array.from(data) });
      return adapter.publish(channel, data);
    },
  };
  return { bus, adapter, recording, published };
}

/** A node without a server, to which messages are given by hand. */
function bareNode(settings = {}) {
  const seen = { dropped: [], joined: [], left: [], claimed: [], versions: 0 };
  const local = new Proxy(
    {
      directory: { add() {}, remove() {}, setState() {}, forget() {} },
      totals: () => ({ workers: 0, slots: 0, busy: 0, waiting: 0 }),
      wants: () => [],
      onDropped: (reason) => seen.dropped.push(reason),
      onNodeJoined: (nodeId) => seen.joined.push(nodeId),
      onNodeLeft: (nodeId) => seen.left.push(nodeId),
      host: (claim, text) => seen.claimed.push(text),
      onOtherVersion: () => (seen.versions += 1),
    },
    { get: (own, name) => own[name] ?? (() => {}) },
  );
  let nonces = 0;
  const all = { name: 'f', nodeId: 'a', start: 'a1', heartbeatMs: 100, timeoutMs: 1_000, ...settings };
  const node = new ClusterNode({ ...all, makeNonce: () => `${all.start}-${(nonces += 1)}` }, local);
  return { node, seen, nodeId: all.nodeId };
}

/** Carries messages between bare nodes until nobody says anything more; returns all of them. */
function exchange(bares, now = 0) {
  const all = [];
  for (;;) {
    const said = bares.flatMap(({ node }) => node.takeOutgoing(now));
    if (said.length === 0) return all;
    all.push(...said);
    for (const { channel, bytes } of said) {
      for (const { node } of bares) if (node.channels.includes(channel)) node.receive(channel, bytes, now);
    }
  }
}

function met(settings) {
  const pair = [bareNode({ ...settings }), bareNode({ ...settings, nodeId: 'b', start: 'b1' })];
  for (const { node } of pair) node.start(0);
  const messages = exchange(pair);
  return { pair, messages };
}

test('nodes with the same secret are a fleet', () => {
  const { pair } = met({ secret: 's' });
  expect(pair.map(({ seen }) => seen.joined)).toEqual([['b'], ['a']]);
  expect(pair.map(({ seen }) => seen.dropped)).toEqual([[], []]);
});

test.each([
  ['another secret', 'other'],
  ['no secret', undefined],
])('a node with %s is none of the fleet, on either side', (_name, secret) => {
  const pair = [bareNode({ secret: 's' }), bareNode({ secret, nodeId: 'b', start: 'b1' })];
  for (const { node } of pair) node.start(0);
  exchange(pair);
  for (const { seen } of pair) {
    expect(seen.joined).toEqual([]);
    expect(new Set(seen.dropped)).toEqual(new Set(['signature']));
  }
});

test('what was altered on its way, or came on another channel, is dropped', () => {
  const { pair } = met({ secret: 's' });
  const [a, b] = pair;
  b.node.tick(100);
  const [{ channel, bytes }] = b.node.takeOutgoing(100);
  for (const at of [40, bytes.length - 1]) {
    const altered = Buffer.from(bytes);
    altered[at] ^= 1;
    a.node.receive(channel, altered, 100);
  }
  a.node.receive(
    a.node.channels.find((other) => other !== channel),
    bytes,
    100,
  );
  expect(a.seen.dropped).toEqual(['signature', 'signature', 'signature']);
  a.node.receive(channel, bytes, 100);
  expect(a.seen.dropped).toHaveLength(3);
});

test('what was recorded and is said again is dropped, while its node lives and when it is gone', () => {
  const { pair, messages } = met({ secret: 's' });
  const [a, b] = pair;
  const ofB = messages.filter(({ bytes }) => bytes.includes('b1'));
  const replay = (now) => {
    for (const { channel, bytes } of ofB) if (a.node.channels.includes(channel)) a.node.receive(channel, bytes, now);
  };
  replay(10);
  expect(a.seen.dropped.length).toBeGreaterThan(2);
  expect(new Set(a.seen.dropped)).toEqual(new Set(['replay']));
  b.node.stop();
  exchange(pair);
  expect(a.seen.left).toEqual(['b']);
  replay(20);
  expect(new Set(a.seen.dropped)).toEqual(new Set(['replay']));
  expect(a.node.info(20).nodes).toHaveLength(1);
});

test('what was recorded means nothing to a node that starts anew: it wants its own nonce back', () => {
  const { pair, messages } = met({ secret: 's' });
  for (const { node } of pair) {
    node.tick(100);
    messages.push(...node.takeOutgoing(100));
  }
  const again = bareNode({ secret: 's', start: 'a2' });
  again.node.start(0);
  again.node.takeOutgoing(0);
  for (const { channel, bytes } of messages) {
    if (again.node.channels.includes(channel)) again.node.receive(channel, bytes, 0);
  }
  expect(again.seen.joined).toEqual([]);
  expect(again.seen.dropped).toContain('unproven');
});

test('a node that starts anew counts once it has proved that it lives; until then its former life does', () => {
  const { pair } = met({ secret: 's' });
  const [a] = pair;
  const again = bareNode({ secret: 's', nodeId: 'b', start: 'b2' });
  again.node.start(0);
  const [hello] = again.node.takeOutgoing(0);
  a.node.receive(hello.channel, hello.bytes, 0);
  expect(a.seen.left).toEqual([]);
  exchange([a, again]);
  expect(a.seen).toMatchObject({ joined: ['b', 'b'], left: ['b'] });
});

test('another version of the protocol is ignored, with one warning, and counted', () => {
  const { pair } = met({});
  const [a, b] = pair;
  b.node.tick(100);
  const [{ channel, bytes }] = b.node.takeOutgoing(100);
  bytes[0] = 2;
  a.node.receive(channel, bytes, 100);
  a.node.receive(channel, bytes, 100);
  expect(a.seen.dropped).toEqual(['version', 'version']);
  expect(a.seen.versions).toBe(1);
});

test('what is no message at all is counted, and does no harm', () => {
  const { pair } = met({});
  const [a] = pair;
  const [channel] = a.node.channels;
  const sealed = new Sealer({ nodeId: 'x', start: 'x1' }).seal(channel, Buffer.from('what'));
  const garbage = [[], [1], [1, 0], [1, 1, 2, 3], [1, 0, 255], ...sealed].map((bytes) => Uint8Array.from(bytes));
  for (const bytes of garbage) a.node.receive(channel, bytes, 0);
  // The fourth says that it is signed.
  const reasons = ['malformed', 'malformed', 'malformed', 'signature', 'malformed', 'malformed'];
  expect(a.seen.dropped).toEqual(reasons);
});

test('a message above 512 KiB is split, and is put together again on the other side', () => {
  const { pair } = met({ secret: 's' });
  const [a, b] = pair;
  const text = 'x'.repeat(3 * MAX_MESSAGE_BYTES);
  a.node.claim('b', { id: 'r' }, text, {});
  const said = a.node.takeOutgoing(0);
  expect(said.length).toBe(4);
  expect(said.every(({ bytes }) => bytes.length <= MAX_MESSAGE_BYTES)).toBe(true);
  for (const { channel, bytes } of said) b.node.receive(channel, bytes, 0);
  expect(b.seen.claimed).toEqual([text]);
});

test('payloads beyond 512 KiB reach a worker of another node, signed', async () => {
  const { recording, published } = recordedBus();
  const a = await startNode(recording, 'a', { cluster: { secret: 's' } });
  const b = await startNode(recording, 'b', { cluster: { secret: 's' } });
  const worker = await connectRequestWorker(b.server, 'w');
  await untilWorkers([a.server], 1);
  const payload = 'ä€'.repeat(300_000);
  const result = a.server.request(payload);
  const request = await worker.nextRequest();
  expect(request.payload === payload).toBe(true);
  worker.answer(request, 'result', { data: payload });
  expect((await result) === payload).toBe(true);
  expect(published.every(({ data }) => data.length <= MAX_MESSAGE_BYTES)).toBe(true);
});

test('strangers on the broker disturb nobody who has a secret, whatever they say', async () => {
  const { adapter, recording, published } = recordedBus();
  const a = await startNode(recording, 'a', { cluster: { secret: 's' } });
  const b = await startNode(recording, 'b', { cluster: { secret: 's' } });
  const worker = await connectRequestWorker(b.server, 'w');
  await untilWorkers([a.server], 1);
  const stranger = new Sealer({ nodeId: 'b', start: 'mine' });
  for (const { channel, data } of published.slice()) {
    adapter.publish(channel, data);
    for (const kind of ['bye', 'beat', 'hello', 'want', 'link', 'shake', 'occupied']) {
      for (const bytes of stranger.seal(channel, packet({ k: kind }, []))) adapter.publish(channel, bytes);
    }
  }
  const result = a.server.request('x');
  worker.answer(await worker.nextRequest(), 'result', { data: 'fine' });
  await expect(result).resolves.toBe('fine');
  expect(a.server.getClusterInfo().nodes).toHaveLength(2);
});

test('without a secret even nonsense of a known kind takes no node down', async () => {
  const { adapter, recording } = recordedBus();
  const a = await startNode(recording, 'a');
  const channels = ['worker-server.default.all', 'worker-server.default.node.a'];
  const stranger = new Sealer({ nodeId: 'z', start: 'mine' });
  const heads = ['bye', 'beat', 'hello', 'want', 'link', 'shake', 'occupied', 7, null].flatMap((k) => [
    { k },
    { k, s: 1, f: {}, m: [[null]], n: 'x', q: [1], w: 5, v: 0 },
    { k, m: 'nonce', y: 'nonce', e: true },
  ]);
  for (const channel of channels) {
    for (const head of heads)
      for (const bytes of stranger.seal(channel, packet(head, []))) adapter.publish(channel, bytes);
  }
  const b = await startNode(recording, 'b');
  await until(() => a.server.getClusterInfo().nodes.some(({ nodeId }) => nodeId === 'b'));
  expect(b.server.state).toBe('running');
});

test('what was dropped is counted in the metrics, by reason', async () => {
  const { adapter, recording } = recordedBus();
  const { server } = await startNode(recording, 'a', { cluster: { secret: 's' } });
  const stranger = new Sealer({ nodeId: 'z', start: 'mine', secret: 'other' });
  const channel = 'worker-server.default.all';
  for (const bytes of stranger.seal(channel, packet({ k: 'hello' }, []))) adapter.publish(channel, bytes);
  adapter.publish(channel, Uint8Array.of(1));
  const count = (reason) => `worker_server_cluster_dropped_total{reason="${reason}"} 1`;
  await until(() => [count('signature'), count('malformed')].every((line) => server.metrics().includes(line)));
});
