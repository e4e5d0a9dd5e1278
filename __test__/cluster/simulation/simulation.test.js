'use strict';

// Generated runs of a fleet of three nodes, each from a seed that is said when something is wrong.

const { TIMEOUT_MS, World } = require('./world.js');

const RUNS = Number(process.env.CLUSTER_RUNS ?? 1_000);
const FIRST_SEED = Number(process.env.CLUSTER_SEED ?? 1);
const FAULTS_MS = 15_000;
/** In which everything that was wrong is found out, and everything under way has its end. */
const QUIET_MS = 40_000;

/** One run: callers ask and workers come and go while the world misbehaves; then it behaves, and all ends. */
function play(seed, faults) {
  const world = new World(seed, { secret: seed % 2 === 0 ? 'secret' : undefined });
  for (const nodeId of ['a', 'b', 'c']) world.addNode(nodeId);
  for (let number = 1; number <= 6; number += 1) {
    const id = `w${number}`;
    const worker = { id, max: 1 + world.below(3), model: world.pick(['m', 'n']), entry: null };
    world.workers.set(id, worker);
    world.after(world.below(2_000), () => world.connect(id));
  }
  let lastRequest = 0;
  const ask = () => {
    const entry = world.pick([...world.nodes.values()]);
    lastRequest += 1;
    const request = {
      id: `r${lastRequest}`,
      model: world.pick(['m', 'n']),
      priority: world.below(3),
      maxAttempts: 1 + world.below(3),
      timeoutMs: world.chance(0.2) ? 300 : 20_000,
    };
    // All may be down.
    if (entry !== undefined) world.on(entry, () => entry.server.request(request));
    if (world.now < FAULTS_MS) world.after(world.below(300), ask);
  };
  world.after(500, ask);
  if (faults) world.after(1_000, () => misbehave(world));
  world.runUntil(FAULTS_MS, () => check(world));
  Object.assign(world.network, { loss: 0, duplication: 0, jitterMs: 0 });
  world.heal();
  for (const entry of world.nodes.values()) world.resume(entry);
  world.runUntil(FAULTS_MS + QUIET_MS, () => check(world));
  return world;
}

let lives = 0;

function misbehave(world) {
  if (world.now >= FAULTS_MS) return;
  const nodes = [...world.nodes.values()];
  const entry = world.pick(nodes);
  const ms = world.below(2 * TIMEOUT_MS);
  const faults = [
    () => Object.assign(world.network, { loss: world.random() * 0.3, duplication: world.random() * 0.3 }),
    () => Object.assign(world.network, { jitterMs: world.below(200) }),
    () => Object.assign(world.network, { loss: 0, duplication: 0, jitterMs: 0 }),
    () => {
      world.cut([entry.nodeId]);
      world.after(ms, () => world.heal());
    },
    () => {
      world.suspend(entry);
      world.after(ms, () => world.resume(entry));
    },
    () => {
      world.crash(entry);
      world.after(ms, () => world.addNode(world.chance(0.5) ? entry.nodeId : `d${(lives += 1)}`));
    },
    () => {
      // A worker connects elsewhere while its old connection still stands.
      const worker = world.pick([...world.workers.values()]);
      worker.entry = null;
      world.connect(worker.id);
    },
    () => {
      const worker = world.pick([...world.workers.values()]);
      const { entry: at } = worker;
      worker.entry = null;
      if (at !== null) world.on(at, () => at.server.disconnect(worker.id));
      world.after(500, () => world.connect(worker.id));
    },
  ];
  if (nodes.length > 0) world.pick(faults)();
  world.after(world.below(2_500), () => misbehave(world));
}

/** What holds after each step. */
function check(world) {
  for (const { nodeId, server } of world.nodes.values()) {
    for (const [id, { worker, runs }] of server.sessions) {
      if (runs.size > worker.max) throw new Error(`${id} of ${nodeId} has ${runs.size} of ${worker.max}`);
    }
  }
  for (const { id, ends, maxAttempts } of world.requests) {
    if (ends.length > 1) throw new Error(`${id} ended ${ends.length} times: ${ends}`);
    const runs = world.runs.get(id) ?? 0;
    if (runs > maxAttempts) throw new Error(`${id} ran ${runs} times, and may ${maxAttempts} times`);
  }
}

/** What holds when all is quiet. */
function checkEnd(world) {
  const open = world.requests.filter(({ ends, isGone }) => ends.length === 0 && !isGone);
  expect(open.map(({ id }) => id)).toEqual([]);
  for (const { node, server } of world.nodes.values()) {
    expect({ nodeId: node.nodeId, isQuiet: node.isQuiet }).toEqual({ nodeId: node.nodeId, isQuiet: true });
    expect({ nodeId: node.nodeId, isEmpty: server.isEmpty }).toEqual({ nodeId: node.nodeId, isEmpty: true });
    const seen = node.info(world.now).nodes.map(({ nodeId }) => nodeId);
    expect(seen).toEqual([...world.nodes.keys()].sort());
  }
  for (const id of world.workers.keys()) {
    expect({ id, holders: world.holdersOf(id).length }).toEqual({ id, holders: 1 });
  }
}

function playAll(faults, count) {
  const outcomes = { completed: 0, failed: 0, timeout: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed += 1) {
    try {
      const world = play(seed, faults);
      checkEnd(world);
      for (const { ends } of world.requests) for (const end of ends) outcomes[end] += 1;
    } catch (error) {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    }
  }
  return outcomes;
}

test('without faults every request of a fleet ends, and most complete', () => {
  const { completed, failed, timeout } = playAll(false, Math.ceil(RUNS / 20));
  expect(completed).toBeGreaterThan(failed + timeout);
}, 120_000);

test('of one worker id on all nodes exactly one connection stays, also after a partition that began before', () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const world = new World(seed);
    for (const nodeId of ['a', 'b', 'c']) world.addNode(nodeId);
    world.network.jitterMs = 100;
    const worker = { id: 'w', max: 1, model: 'm', entry: null };
    world.workers.set('w', worker);
    if (seed % 2 === 0) {
      world.after(2_000, () => world.cut([world.pick(['a', 'b', 'c'])]));
      world.after(20_000, () => world.heal());
    }
    const connectTo = (entry) => {
      worker.entry = null;
      world.connect('w', entry);
    };
    for (const entry of world.nodes.values()) world.after(3_000 + world.below(300), () => connectTo(entry));
    // Before somebody would start one again that was closed.
    world.runUntil(29_000, () => {});
    expect({ seed, holders: world.holdersOf('w').length }).toEqual({ seed, holders: 1 });
  }
}, 60_000);

test(
  'whatever nodes and broker do, no limit is overbooked, every request ends once, none runs more often than it may, ' +
    'nothing is left over and each worker id has one holder',
  () => {
    const { completed } = playAll(true, RUNS);
    expect(completed).toBeGreaterThan(RUNS);
  },
  240_000,
);
