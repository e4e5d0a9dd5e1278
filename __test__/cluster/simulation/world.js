'use strict';

// A fleet on a simulated broker: time, delay, loss, duplication, reordering, partitions, crashes and suspended nodes,
// all from a seed.

const { ClusterNode } = require('../../../lib/cluster/node.js');
const { Choices } = require('../../support/random.js');
const { SimulatedServer } = require('./server.js');

const HEARTBEAT_MS = 1_000;
const TIMEOUT_MS = 5_000;

class World extends Choices {
  now = 0;
  #events = [];
  #order = 0;
  #nonces = 0;
  /** Nodes by id: { node, server, isSuspended, isDead, timer }. */
  nodes = new Map();
  /** Pairs of nodes that the broker does not join, as `a|b`. */
  #cuts = new Set();
  network = { loss: 0, duplication: 0, delayMs: 5, jitterMs: 0 };
  /** Every request that a caller has made, and every run of one on a worker. */
  requests = [];
  runs = new Map();
  /** Where each worker is connected, as the worker sees it. */
  workers = new Map();

  constructor(seed, { secret } = {}) {
    super(seed);
    this.secret = secret;
  }

  after(ms, run) {
    this.#order += 1;
    const event = { at: this.now + ms, order: this.#order, run, isOff: false };
    // The latest come first, so that the next one is the last.
    let [from, to] = [0, this.#events.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#events[middle].at > event.at) from = middle + 1;
      else to = middle;
    }
    this.#events.splice(from, 0, event);
    return event;
  }

  // ---- Nodes ----

  addNode(nodeId) {
    this.#nonces += 1;
    const server = new SimulatedServer(this);
    const settings = {
      name: 'fleet',
      nodeId,
      start: `start-${this.#nonces}`,
      secret: this.secret,
      heartbeatMs: HEARTBEAT_MS,
      timeoutMs: TIMEOUT_MS,
      makeNonce: () => `nonce-${(this.#nonces += 1)}`,
    };
    const node = new ClusterNode(settings, server);
    const entry = { nodeId, node, server, isSuspended: false, isDead: false, backlog: [], timer: null };
    server.entry = entry;
    this.nodes.set(nodeId, entry);
    node.start(this.now);
    this.settle(entry);
    return entry;
  }

  /** After anything that a node did: what it says is on its way, and its next tick planned. */
  settle(entry) {
    if (entry.isDead) return;
    for (const { channel, bytes } of entry.node.takeOutgoing(this.now)) this.#publish(entry.nodeId, channel, bytes);
    const dueAt = entry.node.nextDueAt;
    if (entry.timer !== null && entry.timer.at === dueAt && !entry.timer.isOff) return;
    if (entry.timer !== null) entry.timer.isOff = true;
    entry.timer = dueAt === Infinity ? null : this.after(Math.max(0, dueAt - this.now), () => this.#tick(entry));
  }

  #tick(entry) {
    entry.timer = null;
    if (entry.isDead) return;
    if (entry.isSuspended) {
      entry.missedTick = true;
      return;
    }
    entry.node.tick(this.now);
    this.settle(entry);
  }

  /** Runs something on a node, when the node runs. */
  on(entry, run) {
    if (entry.isDead) return;
    if (entry.isSuspended) {
      entry.backlog.push(run);
      return;
    }
    run();
    this.settle(entry);
  }

  #publish(from, channel, bytes) {
    for (const entry of this.nodes.values()) {
      if (!entry.node.channels.includes(channel)) continue;
      if (entry.nodeId !== from && this.isCut(from, entry.nodeId)) continue;
      const copies = this.chance(this.network.duplication) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        if (this.chance(this.network.loss)) continue;
        const delay = this.network.delayMs + this.random() * this.network.jitterMs;
        this.after(delay, () => this.on(entry, () => entry.node.receive(channel, bytes, this.now)));
      }
    }
  }

  isCut(a, b) {
    return this.#cuts.has(a < b ? `${a}|${b}` : `${b}|${a}`);
  }

  // ---- Faults ----

  /** Nodes of the one side and of the other no longer hear each other. */
  cut(side) {
    for (const a of side) {
      for (const b of this.nodes.keys()) if (!side.includes(b)) this.#cuts.add(a < b ? `${a}|${b}` : `${b}|${a}`);
    }
  }

  heal() {
    this.#cuts.clear();
  }

  suspend(entry) {
    entry.isSuspended = true;
  }

  resume(entry) {
    if (!entry.isSuspended || entry.isDead) return;
    entry.isSuspended = false;
    // Timers run before what the sockets have.
    if (entry.missedTick) {
      entry.missedTick = false;
      entry.node.tick(this.now);
      this.settle(entry);
    }
    for (const run of entry.backlog.splice(0)) this.on(entry, run);
  }

  /** The process is gone: its callers with it, and its workers look for another node. */
  crash(entry) {
    entry.isDead = true;
    if (entry.timer !== null) entry.timer.isOff = true;
    this.nodes.delete(entry.nodeId);
    for (const request of this.requests) if (request.origin === entry) request.isGone = true;
    this.#scatter(entry);
  }

  #scatter(entry) {
    for (const [id, worker] of this.workers) {
      const isItsOnly = worker.entry === null && entry.server.sessions.has(id);
      if (worker.entry !== entry && !isItsOnly) continue;
      worker.entry = null;
      this.after(200 + this.below(3_000), () => this.connect(id));
    }
  }

  // ---- Workers ----

  /** A worker connects to a node at random, be it that an older connection of its id still stands elsewhere. */
  connect(id, target) {
    const worker = this.workers.get(id);
    const alive = [...this.nodes.values()];
    if (worker.entry !== null) return;
    if (alive.length === 0) {
      this.after(500, () => this.connect(id));
      return;
    }
    const entry = target ?? this.pick(alive);
    worker.entry = entry;
    this.on(entry, () => entry.server.register(worker));
  }

  /** The nodes that hold a worker. */
  holdersOf(id) {
    return [...this.nodes.values()].filter(({ server }) => server.sessions.has(id));
  }

  connectUnlessHeld(id) {
    if (this.holdersOf(id).length === 0) this.connect(id);
  }

  // ---- Going on ----

  /** Runs events until a time; `check` is called after each. */
  runUntil(until, check) {
    while (this.#events.length > 0 && this.#events.at(-1).at <= until) {
      const next = this.#events.pop();
      if (next.isOff) continue;
      this.now = Math.max(this.now, next.at);
      next.run();
      check();
    }
    this.now = until;
  }
}

module.exports = { HEARTBEAT_MS, TIMEOUT_MS, World };
