'use strict';

const { Forwards } = require('./forwards.js');
const { Hosting } = require('./hosting.js');
const { Membership } = require('./membership.js');
const { FleetWaiting } = require('./waiting.js');
const { FleetWorkers } = require('./workers.js');

/** How long a node that starts listens for another one with its id, in ms; half of a heartbeat if that is less. */
const LISTEN_MS = 500;

/**
 * One node of a fleet, as a state machine: messages in, messages out, and time as an argument. Its driver
 * publishes what `takeOutgoing` returns after each call, and calls `tick` when `nextDueAt` has come.
 */
class ClusterNode {
  #settings;
  #local;
  #membership;
  #workers;
  #forwards;
  #hosting;
  #waiting;
  /** 'new', 'joining', 'running', 'refused' or 'stopped'. */
  #state = 'new';
  #beatAt = Infinity;
  #joinedAt = Infinity;
  #startedAt = 0;
  #isLost = false;
  /** What other nodes say of themselves, by id: { workers, slots, busy, waiting }. */
  #totals = new Map();
  #dueAt = Infinity;

  /**
   * @param settings `name`, `nodeId`, `start`, `secret`, `heartbeatMs`, `timeoutMs`, `makeNonce()`
   * @param local the server: what `FleetWorkers`, `Hosting` and `FleetWaiting` ask of it, and `totals()`,
   *   `onDropped(reason)`,
   *   `onRoom(nodeId)`, `onNodeJoined(nodeId)`, `onNodeLeft(nodeId)`, `onConnectionLost()`, `onOtherVersion()`
   */
  constructor(settings, local) {
    this.#settings = settings;
    this.#local = local;
    this.#membership = new Membership(settings, {
      onJoined: (peer) => this.#onJoined(peer),
      onLeft: (peer) => this.#onLeft(peer),
      onMessage: (peer, message, text, now) => this.#onMessage(peer, message, text, now),
      onBroadcast: (peer, head, now) => this.#onBroadcast(peer, head, now),
      onNamesake: (start, head) => this.#onNamesake(start, head),
      onDropped: (reason) => local.onDropped(reason),
      onOtherVersion: () => local.onOtherVersion(),
    });
    this.#workers = new FleetWorkers(settings.nodeId, this.#membership, local);
    this.#forwards = new Forwards(this.#membership);
    this.#waiting = new FleetWaiting(this.#membership, local);
    this.#hosting = new Hosting(this.#membership, local, this.#waiting);
  }

  get state() {
    return this.#state;
  }

  get nodeId() {
    return this.#settings.nodeId;
  }

  get workers() {
    return this.#workers;
  }

  /** The channels to subscribe to. */
  get channels() {
    return this.#membership.channels;
  }

  /** Whether nothing of any request or slot is on its way or kept. */
  get isQuiet() {
    const { size } = this.#forwards;
    return this.#membership.isQuiet && size === 0 && this.#hosting.size === 0 && this.#waiting.offered === 0;
  }

  // ---- Life ----

  /** Announces the node. It is 'running' once it has received its own messages and no other node has its id. */
  start(now) {
    this.#state = 'joining';
    this.#startedAt = now;
    this.#membership.broadcast({ k: 'hello' });
    this.#beatAt = now + this.#settings.heartbeatMs;
  }

  /** Leaves the fleet, and notifies the others. */
  stop() {
    if (this.#state === 'stopped' || this.#state === 'new') return;
    this.#state = 'stopped';
    this.#membership.broadcast({ k: 'bye' });
    this.#beatAt = Infinity;
  }

  #onNamesake(start, head) {
    if (head.k === 'hello') {
      const isFirst = this.#state === 'running' || (this.#state === 'joining' && this.#settings.start > start);
      if (isFirst) this.#membership.sayToNamesake({ k: 'occupied', s: start });
    } else if (head.k === 'occupied' && head.s === this.#settings.start && this.#state === 'joining') {
      this.#state = 'refused';
    } else if (head.k === 'beat' && this.#state === 'joining') {
      this.#state = 'refused';
    }
  }

  #onJoined(peer) {
    this.#local.onNodeJoined(peer.nodeId);
    this.#totals.set(peer.nodeId, { workers: 0, slots: 0, busy: 0, waiting: 0 });
    this.#hosting.onJoined(peer);
    this.#workers.onJoined(peer);
    // So that the peer need not wait for the next heartbeat to know the workers' states and what waits here.
    this.#membership.say(peer, { t: 'state', ...this.#beat() });
  }

  #onLeft(peer) {
    this.#local.onNodeLeft(peer.nodeId);
    this.#totals.delete(peer.nodeId);
    this.#workers.onLeft(peer);
    this.#waiting.onLeft(peer);
    this.#hosting.onLeft(peer);
    this.#forwards.onLeft(peer);
  }

  // ---- Messages ----

  receive(channel, bytes, now) {
    if (this.#state === 'stopped') return;
    this.#membership.receive(channel, bytes, now);
    if (this.#membership.heardSelfAt !== now) return;
    this.#isLost = false;
    if (this.#joinedAt === Infinity) this.#joinedAt = now + Math.min(LISTEN_MS, this.#settings.heartbeatMs / 2);
  }

  #onMessage(peer, message, text, now) {
    if (this.#forwards.onMessage(peer, message, text) || this.#hosting.onMessage(peer, message, text)) return;
    if (this.#waiting.onMessage(peer, message) || this.#workers.onMessage(peer, message)) return;
    if (message.t === 'state') this.#onBeat(peer, message, now);
  }

  #onBroadcast(peer, head, now) {
    if (head.k === 'beat') this.#onBeat(peer, head, now);
    else if (head.k === 'want') this.#waiting.onWants(peer, head.q, false);
  }

  #onBeat(peer, beat) {
    const [workers, slots, busy, waiting] = beat.s;
    this.#totals.set(peer.nodeId, { workers, slots, busy, waiting });
    this.#workers.onStates(peer, beat);
    this.#waiting.onWants(peer, beat.q, true);
    this.#local.onRoom(peer.nodeId);
  }

  #beat() {
    const { workers, slots, busy, waiting } = this.#local.totals();
    return { s: [workers, slots, busy, waiting], q: this.#waiting.wants(), ...this.#workers.states() };
  }

  /** What is to be published now, as `{ channel, bytes }`. */
  takeOutgoing(now) {
    return this.#membership.takeOutgoing(now);
  }

  // ---- Requests ----

  /** See `Forwards`. */
  claim(nodeId, claim, payloadText, listener) {
    return this.#forwards.claim(nodeId, claim, payloadText, listener);
  }

  cancel(forward, reason) {
    this.#forwards.cancel(forward, reason);
  }

  over(requestId, nodeIds) {
    this.#forwards.over(requestId, nodeIds);
  }

  /** See `Hosting`. */
  forget(hosted) {
    this.#hosting.forget(hosted);
  }

  keepFormer(hosted, requestId, workerId, attempt) {
    this.#hosting.keepFormer(hosted, requestId, workerId, attempt);
  }

  formerAttempt(requestId, workerId) {
    return this.#hosting.formerAttempt(requestId, workerId);
  }

  /** See `FleetWaiting`. */
  began(want, now) {
    this.#waiting.began(want, now);
  }

  offer(nodeId, want, slot, workerId, now) {
    return this.#waiting.offer(nodeId, want, slot, workerId, now);
  }

  /** Bytes that wait to be acknowledged by a node. */
  backlog(nodeId) {
    return this.#membership.peer(nodeId)?.link.bytes ?? 0;
  }

  // ---- Time ----

  get nextDueAt() {
    if (this.#state !== 'joining' && this.#state !== 'running') return Infinity;
    const joinedAt = this.#state === 'joining' ? this.#joinedAt : Infinity;
    this.#dueAt = Math.min(this.#beatAt, joinedAt, this.#membership.nextDueAt, this.#waiting.nextDueAt);
    return this.#dueAt;
  }

  tick(now) {
    if (this.#state !== 'joining' && this.#state !== 'running') return;
    const lateMs = Math.max(0, now - this.#dueAt);
    if (lateMs > this.#settings.heartbeatMs) this.#membership.heardSelfAt += lateMs;
    this.#membership.tick(now, lateMs);
    this.#waiting.tick(now);
    if (this.#state === 'joining' && this.#joinedAt <= now) this.#state = 'running';
    if (this.#beatAt > now) return;
    this.#beatAt = now + this.#settings.heartbeatMs;
    // A node that has not joined yet only announces itself.
    this.#membership.broadcast(this.#state === 'running' ? { k: 'beat', ...this.#beat() } : { k: 'hello' });
    this.#noticeLoss(now);
  }

  /**
   * Clients of brokers keep what can't be sent, and say nothing: that a connection is lost shows in not hearing
   * oneself.
   */
  #noticeLoss(now) {
    const { heartbeatMs, timeoutMs } = this.#settings;
    const silentMs = now - Math.max(this.#membership.heardSelfAt, this.#startedAt);
    if (this.#isLost || silentMs < Math.max(2.5 * heartbeatMs, timeoutMs / 2)) return;
    this.#isLost = true;
    this.#local.onConnectionLost();
  }

  /** What `getClusterInfo()` returns. */
  info(now) {
    const own = { nodeId: this.nodeId, self: true, ...this.#local.totals(), lastSeenMs: 0 };
    const others = [...this.#membership.peers].map(({ nodeId, lastSeen }) => ({
      nodeId,
      self: false,
      ...this.#totals.get(nodeId),
      lastSeenMs: Math.max(0, Math.round(now - lastSeen)),
    }));
    const nodes = [own, ...others].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
    return { nodeId: this.nodeId, nodes };
  }
}

module.exports = { ClusterNode };
