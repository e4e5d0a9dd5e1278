'use strict';

// Faults with real processes over a real NATS: three nodes, nine workers, and a client node that keeps 200 requests and
// 50 streams under way. A ledger knows what every worker has run and what every caller has got.

const { Worker } = require('../../lib/worker');
const { CLIENTS, connectBy, startBroker, startRelay, testWithBroker } = require('../support/broker.js');
const { onCleanup } = require('../support/cleanup.js');
const { startNode } = require('../support/cluster.js');
const { until } = require('../support/server.js');
const { CHUNKS, Ledger } = require('./support/ledger.js');
const { NodeProcess } = require('./support/node-process.js');

const TIMES = { heartbeatMs: 200, timeoutMs: 2_000 };
const NATS = '@nats-io/transport-node';
/** How many requests were lost with their worker: the others have completed. */
function onlyLost({ WORKER_LOST: lost = 0, completed: _completed, ...others }) {
  expect(others).toEqual({});
  return lost;
}

const run = testWithBroker(CLIENTS[NATS].broker);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function startWorker(ledger, workerId, port) {
  const worker = new Worker({
    url: `ws://127.0.0.1:${port}`,
    workerId,
    capabilities: { models: [], maxConcurrentRequests: 10 },
    isolate: false,
    handleSignals: [],
    reconnect: { initialDelayMs: 50, maxDelayMs: 300 },
    async *handler({ id, ms }, { signal }) {
      ledger.ran(id);
      for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
        await sleep(ms / CHUNKS);
        signal.throwIfAborted();
        yield chunk;
      }
      return id;
    },
  });
  const done = worker.run().catch(() => {});
  onCleanup(async () => {
    await worker.close();
    await done;
  });
  return worker;
}

/**
 * The fleet under load, and after a while of it what a test does to it.
 *
 * @param asker the node that has callers of its own; without it they are at a node in this process
 */
async function startLoad({ options, relayed, asker } = {}) {
  const broker = await startBroker('nats');
  const relay = relayed === undefined ? null : await startRelay(broker.port);
  const { adapter } = await connectBy(NATS, broker.port);
  const { server } = await startNode(adapter, 'client', { cluster: TIMES });
  const ledger = new Ledger();
  const nodes = ['n1', 'n2', 'n3'].map((id) => new NodeProcess(id, id === relayed ? relay.port : broker.port, TIMES));
  await Promise.all(nodes.map((node) => node.start()));
  onCleanup(() => Promise.all(nodes.map((node) => node.close())));
  for (const [at, node] of nodes.entries()) {
    for (let number = 1; number <= 3; number += 1) startWorker(ledger, `w${3 * at + number}`, node.port);
  }
  await until(() => server.explain().workers.length === 9);
  const load = { requests: 200, streams: 50, options: { queueTimeoutMs: 60_000, ...options } };
  if (asker === undefined) {
    ledger.keep(server, load);
    await until(() => ledger.counts().completed > 200);
  } else {
    await nodes.find(({ nodeId }) => nodeId === asker).ask('keep', load);
    await until(() => ledger.runs.size > 300);
  }
  return { broker, relay, server, ledger, nodes };
}

/** After the fault: everybody gets an end, and no slot is left taken. */
async function endLoad({ server, ledger, nodes }) {
  await sleep(500);
  const before = ledger.counts().completed;
  await until(() => ledger.counts().completed > before + 200);
  await ledger.end();
  await until(() => server.getClusterInfo().nodes.every(({ busy, waiting }) => busy === 0 && waiting === 0));
  for (const node of nodes) {
    if (node.child.exitCode === null && node.child.signalCode === null) {
      const { info } = await node.info();
      expect(info.nodes.find(({ self }) => self)).toMatchObject({ busy: 0, waiting: 0 });
    }
  }
  return ledger.counts();
}

run(
  'kill -9 of a node: what ran on its workers is lost or goes on elsewhere, and nothing runs twice that may not',
  async () => {
    const load = await startLoad();
    load.nodes[0].kill('SIGKILL');
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    const counts = await endLoad(load);
    const lost = onlyLost(counts);
    // Its three workers had thirty slots.
    expect(lost).toBeLessThanOrEqual(60);
    expect(load.ledger.doubled(1)).toEqual([]);
    for (const { code, started, attempts } of load.ledger.outcomes) {
      if (code === 'WORKER_LOST') expect({ started, attempts }).toEqual({ started: true, attempts: 1 });
    }
  },
  60_000,
);

run(
  'with further attempts kill -9 of a node loses no request',
  async () => {
    const load = await startLoad({ options: { maxAttempts: 3 } });
    load.nodes[1].kill('SIGKILL');
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    const counts = await endLoad(load);
    // A stream of which chunks have come is not begun again.
    const lost = onlyLost(counts);
    expect(lost).toBeLessThanOrEqual(30);
    const lostRequests = load.ledger.outcomes.filter(({ code, attempts }) => code === 'WORKER_LOST' && attempts > 2);
    expect(lostRequests).toEqual([]);
    expect(load.ledger.doubled(3)).toEqual([]);
  },
  60_000,
);

run(
  'a node that is stopped for less than timeoutMs loses nothing and doubles nothing',
  async () => {
    const load = await startLoad();
    load.nodes[0].kill('SIGSTOP');
    await sleep(TIMES.timeoutMs / 2);
    load.nodes[0].kill('SIGCONT');
    const counts = await endLoad(load);
    expect(Object.keys(counts)).toEqual(['completed']);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);

run(
  'a node that is stopped for longer than timeoutMs is given up, and cancels when it wakes what has been ended',
  async () => {
    const load = await startLoad();
    load.nodes[0].kill('SIGSTOP');
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    load.nodes[0].kill('SIGCONT');
    await until(() => load.server.getClusterInfo().nodes.length === 4);
    const counts = await endLoad(load);
    const lost = onlyLost(counts);
    expect(lost).toBeGreaterThan(0);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);

/** The callers of a node have their ends, each of them one, and nothing is left. */
async function endAtNode({ server, ledger, nodes: [asker, ...others] }) {
  const before = ledger.runs.size;
  await until(() => ledger.runs.size > before + 200);
  const { called, outcomes } = await asker.ask('end');
  expect(outcomes.map(({ id }) => id).sort()).toEqual(called.sort());
  await until(() => server.getClusterInfo().nodes.every(({ busy, waiting }) => busy === 0 && waiting === 0));
  for (const node of [asker, ...others]) {
    const { info } = await node.info();
    expect(info.nodes).toHaveLength(4);
    expect(info.nodes.find(({ self }) => self)).toMatchObject({ busy: 0, waiting: 0 });
  }
  ledger.outcomes = outcomes;
  return ledger.counts();
}

run(
  'a node with callers of its own that is stopped for less than timeoutMs: each of them has its result',
  async () => {
    const load = await startLoad({ asker: 'n1' });
    load.nodes[0].kill('SIGSTOP');
    await sleep(TIMES.timeoutMs / 2);
    load.nodes[0].kill('SIGCONT');
    const counts = await endAtNode(load);
    expect(Object.keys(counts)).toEqual(['completed']);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);

run(
  'a node with callers of its own that is stopped for longer: the others cancel what it had there, and its callers ' +
    'have one end each, with nothing run twice',
  async () => {
    const load = await startLoad({ asker: 'n1' });
    load.nodes[0].kill('SIGSTOP');
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    // The slots of the others are free again, though nobody has asked for that.
    await until(() =>
      load.server.getClusterInfo().nodes.every(({ nodeId, busy }) => !['n2', 'n3'].includes(nodeId) || busy === 0),
    );
    load.nodes[0].kill('SIGCONT');
    await until(() => load.server.getClusterInfo().nodes.length === 4);
    const counts = await endAtNode(load);
    expect(onlyLost(counts)).toBeGreaterThan(0);
    expect(load.ledger.doubled(1)).toEqual([]);
    for (const { code, started, attempts } of load.ledger.outcomes) {
      if (code === 'WORKER_LOST') expect({ started, attempts }).toEqual({ started: true, attempts: 1 });
    }
  },
  60_000,
);

run(
  'with further attempts such a node loses no request, and none runs more often than it may',
  async () => {
    const load = await startLoad({ asker: 'n1', options: { maxAttempts: 3 } });
    load.nodes[0].kill('SIGSTOP');
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    load.nodes[0].kill('SIGCONT');
    await until(() => load.server.getClusterInfo().nodes.length === 4);
    const counts = await endAtNode(load);
    // A stream of which chunks have come is not begun again.
    expect(onlyLost(counts)).toBeLessThanOrEqual(50);
    expect(load.ledger.doubled(3)).toEqual([]);
  },
  60_000,
);

run(
  'a broker that is restarted within timeoutMs loses nothing and doubles nothing',
  async () => {
    const load = await startLoad();
    await load.broker.kill();
    await sleep(300);
    await load.broker.start();
    const counts = await endLoad(load);
    expect(Object.keys(counts)).toEqual(['completed']);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);

run(
  'a node that is cut off for longer than timeoutMs is given up, and is one of the fleet again when it is not',
  async () => {
    const load = await startLoad({ relayed: 'n2' });
    load.relay.cut();
    await until(() => load.server.getClusterInfo().nodes.length === 3);
    load.relay.heal();
    await until(() => load.server.getClusterInfo().nodes.length === 4);
    const counts = await endLoad(load);
    const lost = onlyLost(counts);
    expect(lost).toBeGreaterThan(0);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);

run(
  'a rolling restart of all nodes with drain() loses nothing, and refuses nothing that could wait',
  async () => {
    const load = await startLoad();
    for (const [at, node] of load.nodes.entries()) {
      node.kill('SIGTERM');
      await node.exited;
      const again = new NodeProcess(node.nodeId, node.natsPort, TIMES);
      await again.start(node.port);
      load.nodes[at] = again;
      onCleanup(() => again.close());
      await until(() => load.server.getClusterInfo().nodes.length === 4);
      await until(() => load.server.explain().workers.length === 9);
    }
    const counts = await endLoad(load);
    expect(Object.keys(counts)).toEqual(['completed']);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  120_000,
);

run(
  'of one worker id on two nodes one process stays',
  async () => {
    const load = await startLoad();
    const worker = startWorker(load.ledger, 'w1', load.nodes[2].port);
    await until(() => worker.state === 'connected');
    const nodesOfW1 = () => load.server.explain().workers.flatMap(({ id, node }) => (id === 'w1' ? [node] : []));
    await until(() => nodesOfW1().join() === 'n3');
    const counts = await endLoad(load);
    const lost = onlyLost(counts);
    expect(lost).toBeLessThanOrEqual(10);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);
