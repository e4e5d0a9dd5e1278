// What the heartbeats of a large fleet cost one of its nodes, by simulation: the node's own state machine, with the native
// list of the others' workers, in a fleet of nodes that are nothing else. No broker and no sockets: messages are passed by
// calls, so that what is measured is encoding, signing, reading and noting.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { ClusterNode } = require('../../lib/cluster/node.js');
const native = require('../../lib/native/addon.js');

const HEARTBEAT_MS = 2_000;
/** Rounds of heartbeats that are not counted, since code is not compiled yet. */
const WARM_UP = 10;

/** What a node of the fleet asks of its server. `changing`: the share of workers whose load is another each time. */
function localOf({ models, changing, directory }) {
  let beats = 0;
  return {
    directory,
    stateOf: (workerId) => [0, Number(workerId.split('-')[1]) < models * changing ? (beats += 1) % 7 : 0],
    totals: () => ({ workers: models, slots: 8 * models, busy: 0, waiting: 0 }),
    wants: () => [],
    clearWants() {},
    onRoom() {},
    onNodeJoined() {},
    onNodeLeft() {},
    onDropped() {},
    onWorkerElsewhere() {},
    onConnectionLost() {},
    onSaid() {},
  };
}

function nativeDirectory() {
  const workers = new native.NativeRemoteWorkers();
  return {
    add: (nodeId, { id, capabilities }) => workers.add(nodeId, id, JSON.stringify(capabilities), 'anything'),
    remove: (nodeId, id) => workers.remove(nodeId, id),
    setState: (nodeId, id, [status, active]) => workers.setState(nodeId, id, status, active, []),
    forget: (nodeId) => workers.forget(nodeId),
  };
}

const NO_DIRECTORY = { add() {}, remove() {}, setState() {}, forget() {} };

/**
 * @param options `nodes`, `models` on each (a worker for every one), `changing`, `secret`, `rounds`
 * @returns {{ cpu: number, bytes: number }} the part of a core that one node takes, and the bytes of its heartbeat
 */
export function heartbeatCost({ nodes: count, models, changing, secret, rounds }) {
  let nonces = 0;
  const nodes = Array.from({ length: count }, (_, at) => {
    const settings = {
      name: 'fleet',
      nodeId: `node-${at}`,
      start: `start-${at}`,
      secret,
      heartbeatMs: HEARTBEAT_MS,
      timeoutMs: 5 * HEARTBEAT_MS,
      makeNonce: () => `nonce-${(nonces += 1)}`,
    };
    const directory = at === 0 ? nativeDirectory() : NO_DIRECTORY;
    return new ClusterNode(settings, localOf({ models, changing, directory }));
  });
  const [measured] = nodes;
  const byChannel = new Map();
  for (const node of nodes) {
    for (const channel of node.channels) byChannel.set(channel, [...(byChannel.get(channel) ?? []), node]);
  }
  let time = 0;
  let spentMs = 0;
  let bytes = 0;
  const timed = (node, call) => {
    if (node !== measured) return call();
    const from = performance.now();
    const result = call();
    spentMs += performance.now() - from;
    return result;
  };
  /** Delivers until nobody says anything more. */
  const settle = () => {
    for (let hasSaid = true; hasSaid;) {
      hasSaid = false;
      for (const node of nodes) {
        for (const { channel, bytes: message } of timed(node, () => node.takeOutgoing(time))) {
          hasSaid = true;
          if (node === measured && channel.endsWith('.all')) bytes = message.length;
          for (const to of byChannel.get(channel)) timed(to, () => to.receive(channel, message, time));
        }
      }
    }
  };
  for (const node of nodes) {
    node.start(time);
    for (let model = 0; model < models; model += 1) {
      const capabilities = { models: [{ modelId: `model-${model}` }], maxConcurrentRequests: 8 };
      node.workers.join({ id: `${node.nodeId.slice(5)}-${model}`, capabilities, takes: 'anything' });
    }
  }
  settle();
  for (let round = 0; round < WARM_UP + rounds; round += 1) {
    if (round === WARM_UP) spentMs = 0;
    // Its own timers and acknowledgements fall in between.
    for (const ms of [500, HEARTBEAT_MS]) {
      time += ms === HEARTBEAT_MS ? HEARTBEAT_MS - 500 : ms;
      for (const node of nodes) timed(node, () => node.nextDueAt <= time && node.tick(time));
      settle();
    }
  }
  if (measured.info(time).nodes.length !== count) throw new Error('the nodes have not found each other');
  return { cpu: spentMs / (rounds * HEARTBEAT_MS), bytes };
}
