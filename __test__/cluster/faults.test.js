'use strict';

// Faults with real processes over a real NATS: three nodes, nine workers, and a client node that keeps 200 requests and
// 50 streams under way. A ledger knows what every worker has run and what every caller has got.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('../../lib/worker');
const { CLIENTS, connectBy, startBroker, startRelay, testWithBroker } = require('../support/broker.js');
const { onCleanup } = require('../support/cleanup.js');
const { startNode } = require('../support/cluster.js');
const { until } = require('../support/server.js');

const TIMES = { heartbeatMs: 200, timeoutMs: 2_000 };
const NATS = '@nats-io/transport-node';
/** How many requests were lost with their worker: the others have completed. */
function onlyLost({ WORKER_LOST: lost = 0, completed: _completed, ...others }) {
  expect(others).toEqual({});
  return lost;
}

const run = testWithBroker(CLIENTS[NATS].broker);
const CHUNKS = 5;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A node in a process of its own. */
class NodeProcess {
  constructor(nodeId, natsPort) {
    this.nodeId = nodeId;
    this.natsPort = natsPort;
  }

  async start(port = 0) {
    const env = {
      ...process.env,
      NODE_ID: this.nodeId,
      NATS_PORT: this.natsPort,
      PORT: port,
      HEARTBEAT_MS: TIMES.heartbeatMs,
      TIMEOUT_MS: TIMES.timeoutMs,
    };
    this.child = fork(path.join(__dirname, 'programs/node.js'), { env });
    this.exited = once(this.child, 'exit');
    const [{ port: listening }] = await once(this.child, 'message');
    this.port = listening;
  }

  async info() {
    const answer = once(this.child, 'message');
    this.child.send('info');
    return (await answer)[0];
  }

  kill(signal) {
    this.child.kill(signal);
  }

  async close() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

/** What ran, and what callers got. */
class Ledger {
  runs = new Map();
  outcomes = [];
  #isOver = false;
  #loops = [];
  #last = 0;

  ran(id) {
    this.runs.set(id, (this.runs.get(id) ?? 0) + 1);
  }

  /** Keeps requests and streams under way at a server. */
  keep(server, { requests, streams, options }) {
    for (let count = 0; count < requests; count += 1)
      this.#loops.push(this.#loop((id) => this.#request(server, id, options)));
    for (let count = 0; count < streams; count += 1)
      this.#loops.push(this.#loop((id) => this.#stream(server, id, options)));
  }

  async #loop(call) {
    while (!this.#isOver) {
      this.#last += 1;
      const id = `r${this.#last}`;
      try {
        await call(id);
        this.outcomes.push({ id, code: 'completed' });
      } catch (error) {
        this.outcomes.push({ id, code: error.code ?? error.message, started: error.started, attempts: error.attempts });
      }
    }
  }

  async #request(server, id, options) {
    const result = await server.request({ id, ms: 20 }, { ...options, requestId: id });
    if (result !== id) throw new Error(`${id} got ${result}`);
  }

  async #stream(server, id, options) {
    const stream = server.stream({ id, ms: 20 }, { ...options, requestId: id });
    let expected = 0;
    for await (const chunk of stream) {
      if (chunk !== expected) throw new Error(`${id} got chunk ${chunk} where ${expected} was next`);
      expected += 1;
    }
    if (expected !== CHUNKS) throw new Error(`${id} got ${expected} chunks`);
    if ((await stream.result) !== id) throw new Error(`${id} got another result`);
  }

  /** No more calls: resolves when all have their end. */
  async end() {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  counts() {
    const counts = {};
    for (const { code } of this.outcomes) counts[code] = (counts[code] ?? 0) + 1;
    return counts;
  }

  /** Ids that ran more often than they may. */
  doubled(most) {
    return [...this.runs].filter(([, times]) => times > most);
  }
}

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

/** The fleet under load, and after a while of it what a test does to it. */
async function startLoad({ options, relayed } = {}) {
  const broker = await startBroker('nats');
  const relay = relayed === undefined ? null : await startRelay(broker.port);
  const { adapter } = await connectBy(NATS, broker.port);
  const { server } = await startNode(adapter, 'client', { cluster: TIMES });
  const ledger = new Ledger();
  const nodes = ['n1', 'n2', 'n3'].map((id) => new NodeProcess(id, id === relayed ? relay.port : broker.port));
  await Promise.all(nodes.map((node) => node.start()));
  onCleanup(() => Promise.all(nodes.map((node) => node.close())));
  for (const [at, node] of nodes.entries()) {
    for (let number = 1; number <= 3; number += 1) startWorker(ledger, `w${3 * at + number}`, node.port);
  }
  await until(() => server.explain().workers.length === 9);
  ledger.keep(server, { requests: 200, streams: 50, options: { queueTimeoutMs: 60_000, ...options } });
  await until(() => ledger.counts().completed > 200);
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
      const again = new NodeProcess(node.nodeId, node.natsPort);
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
    await until(() => load.server.explain().workers.filter(({ id }) => id === 'w1').length === 1);
    const [{ node }] = load.server.explain().workers.filter(({ id }) => id === 'w1');
    expect(node).toBe('n3');
    const counts = await endLoad(load);
    const lost = onlyLost(counts);
    expect(lost).toBeLessThanOrEqual(10);
    expect(load.ledger.doubled(1)).toEqual([]);
  },
  60_000,
);
