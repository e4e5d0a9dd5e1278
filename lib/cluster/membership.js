'use strict';

const { Assembler, DROPPED, Sealer, packet, readPacket, unseal } = require('./envelope.js');
const { Link } = require('./link.js');

/** How often a handshake is repeated until it is answered, in ms. */
const SHAKE_MS = 250;
/** The most nodes that may be unproven at a time, and the most lives whose last sequence number is remembered. */
const [MAX_UNPROVEN, MAX_STARTS] = [256, 4_096];

/** Another node of the fleet, in one of its lives, since it was last found. */
class Peer {
  constructor(nodeId, start, nonce, now) {
    this.nodeId = nodeId;
    this.start = start;
    /** The nonces of both sides for this connection: who sends the other's nonce has received it lately. */
    this.mine = nonce;
    this.theirs = undefined;
    this.isEstablished = false;
    this.lastSeen = now;
    this.shakeAt = now;
    this.link = new Link();
  }
}

/**
 * Who is there. A node is known by its id and by its start, a random number for each of its lives. It counts when it
 * has sent back a nonce that was made up for it, so that nothing recorded can stand in for it; and until it says
 * goodbye, is silent for `timeoutMs`, or begins anew. A node that took another for dead begins anew as well, so that
 * both always agree on what of them is lost.
 */
class Membership {
  #settings;
  #hooks;
  #sealer;
  #channels;
  /** By id and start. */
  #peers = new Map();
  /** Those that count, by id. */
  #current = new Map();
  /** What is known of each life of a node: { sequence, assembler, isOver }. */
  #starts = new Map();
  #outgoing = [];
  #warnedOfVersion = false;
  /** When this node last heard itself. */
  heardSelfAt = -Infinity;

  /**
   * @param settings `name`, `nodeId`, `start`, `secret`, `timeoutMs`, `heartbeatMs`, `makeNonce()`
   * @param hooks `onJoined(peer)`, `onLeft(peer)`, `onMessage(peer, message, text, now)`, `onBroadcast(peer, head,
   *   now)`,
   *   `onNamesake(start, head)` for another life under this node's id, `onDropped(reason)`, `onOtherVersion()`, once
   */
  constructor(settings, hooks) {
    this.#settings = settings;
    this.#hooks = hooks;
    this.#sealer = new Sealer(settings);
    const { name, nodeId } = settings;
    this.#channels = { all: channelOf(name), own: channelOf(name, nodeId) };
  }

  get channels() {
    return Object.values(this.#channels);
  }

  /** The nodes that have proved that they live. */
  get peers() {
    return this.#current.values();
  }

  peer(nodeId) {
    return this.#current.get(nodeId);
  }

  get isQuiet() {
    for (const { link } of this.peers) if (!link.isQuiet) return false;
    return true;
  }

  // ---- Out ----

  /** Sends a message to all nodes, without acknowledgement. */
  broadcast(head) {
    this.#put(this.#channels.all, head, []);
  }

  /** Sends a message to another process that has this node's id. */
  sayToNamesake(head) {
    this.#put(this.#channels.own, head, []);
  }

  /** Sends a message to a peer, again and again until it is acknowledged. */
  say(peer, message, text) {
    peer.link.say(message, text);
  }

  #put(channel, head, texts) {
    for (const bytes of this.#sealer.seal(channel, packet(head, texts))) this.#outgoing.push({ channel, bytes });
  }

  /** What is to be published now: `{ channel, bytes }`, in this order. */
  takeOutgoing(now) {
    for (const peer of this.peers) {
      for (let said = peer.link.take(now); said !== null; said = peer.link.take(now)) {
        const { first, ack, messages, texts } = said;
        const head = { k: 'link', s: peer.theirs, f: peer.mine, n: first, a: ack, m: messages };
        this.#put(channelOf(this.#settings.name, peer.nodeId), head, texts);
      }
    }
    return this.#outgoing.splice(0);
  }

  // ---- In ----

  receive(channel, bytes, now) {
    const { secret, nodeId: ownId, start: ownStart } = this.#settings;
    const message = unseal(secret, channel, bytes);
    if (message.dropped !== undefined) {
      this.#drop(message.dropped);
      return;
    }
    const { nodeId, start } = message;
    if (nodeId === ownId && start === ownStart) {
      this.heardSelfAt = now;
      return;
    }
    const life = this.#lifeOf(nodeId, start);
    if (life.isOver || message.sequence <= life.sequence) {
      this.#drop(DROPPED.REPLAY);
      return;
    }
    life.sequence = message.sequence;
    const data = life.assembler.add(channel, message);
    if (data === null) return;
    const read = readPacket(data);
    if (read === null) this.#drop(DROPPED.MALFORMED);
    else if (nodeId === ownId) this.#hooks.onNamesake(start, read.head);
    else this.#onPacket(nodeId, start, read, now);
  }

  #drop(reason) {
    this.#hooks.onDropped(reason);
    if (reason !== DROPPED.VERSION || this.#warnedOfVersion) return;
    this.#warnedOfVersion = true;
    this.#hooks.onOtherVersion();
  }

  #lifeOf(nodeId, start) {
    const key = `${nodeId}/${start}`;
    let life = this.#starts.get(key);
    if (life === undefined) {
      life = { sequence: 0, assembler: new Assembler(), isOver: false };
      this.#starts.set(key, life);
      if (this.#starts.size > MAX_STARTS) this.#forgetLives();
    }
    return life;
  }

  /** Forgets the oldest lives, but those of present peers. */
  #forgetLives() {
    for (const key of this.#starts.keys()) {
      if (this.#starts.size <= MAX_STARTS / 2) return;
      if (!this.#peers.has(key)) this.#starts.delete(key);
    }
  }

  #onPacket(nodeId, start, { head, texts }, now) {
    const key = `${nodeId}/${start}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = this.#begin(nodeId, start, now);
      if (peer === null) return;
    }
    peer.lastSeen = now;
    if (head.k === 'shake') {
      this.#onShake(peer, head, now);
    } else if (head.k === 'link') {
      this.#onLink(peer, head, texts, now);
    } else if (!peer.isEstablished) {
      // A greeting is what begins it all; anything else may be a recording.
      if (head.k !== 'hello') this.#drop(DROPPED.UNPROVEN);
      this.#shakeIfDue(peer, now);
    } else if (head.k === 'bye') {
      this.#lose(peer);
      this.#lifeOf(nodeId, start).isOver = true;
    } else {
      this.#hooks.onBroadcast(peer, head, now);
    }
  }

  #begin(nodeId, start, now) {
    if (this.#peers.size - this.#current.size >= MAX_UNPROVEN) return null;
    const peer = new Peer(nodeId, start, this.#settings.makeNonce(), now);
    this.#peers.set(`${nodeId}/${start}`, peer);
    return peer;
  }

  #shake(peer, now) {
    peer.shakeAt = now + SHAKE_MS;
    const head = { k: 'shake', m: peer.mine, y: peer.theirs, e: peer.isEstablished };
    this.#put(channelOf(this.#settings.name, peer.nodeId), head, []);
  }

  #shakeIfDue(peer, now) {
    if (now >= peer.shakeAt) this.#shake(peer, now);
  }

  #onShake(peer, { m: theirs, y: mine, e: isTheirsEstablished }, now) {
    if (peer.isEstablished && theirs !== peer.theirs) {
      // It has begun anew: to it, this node was lost.
      this.#lose(peer);
      peer = this.#begin(peer.nodeId, peer.start, now);
      if (peer === null) return;
    }
    peer.theirs = theirs;
    const isAnswer = mine === peer.mine;
    if (isAnswer) this.#establish(peer);
    if (!isAnswer || isTheirsEstablished !== true) this.#shake(peer, now);
  }

  #establish(peer) {
    if (peer.isEstablished) return;
    const former = this.#current.get(peer.nodeId);
    if (former !== undefined) {
      this.#lose(former);
      this.#lifeOf(former.nodeId, former.start).isOver = true;
    }
    peer.isEstablished = true;
    this.#current.set(peer.nodeId, peer);
    this.#hooks.onJoined(peer);
  }

  #onLink(peer, { s: mine, f: theirs, n: first, a: ack, m: messages }, texts, now) {
    if (mine !== peer.mine || (peer.isEstablished && theirs !== peer.theirs) || !Array.isArray(messages)) {
      // It talks to a connection that this node has given up, or does not know yet.
      this.#shakeIfDue(peer, now);
      return;
    }
    peer.theirs = theirs;
    this.#establish(peer);
    for (const { message, text } of peer.link.receive({ first, ack, messages, texts }, now)) {
      this.#hooks.onMessage(peer, message, text, now);
      // The message may have ended the connection.
      if (this.#current.get(peer.nodeId) !== peer) return;
    }
  }

  #lose(peer) {
    this.#peers.delete(`${peer.nodeId}/${peer.start}`);
    if (this.#current.get(peer.nodeId) !== peer) return;
    this.#current.delete(peer.nodeId);
    this.#hooks.onLeft(peer);
  }

  // ---- Time ----

  get nextDueAt() {
    let due = Infinity;
    for (const peer of this.#peers.values()) {
      due = Math.min(due, peer.lastSeen + this.#settings.timeoutMs, peer.link.nextDueAt);
      if (!peer.isEstablished) due = Math.min(due, peer.shakeAt);
    }
    return due;
  }

  /**
   * @param lateMs How much later than it was to be this is called: this process did not run, and could receive nothing.
   */
  tick(now, lateMs) {
    for (const peer of [...this.#peers.values()]) {
      if (lateMs > this.#settings.heartbeatMs) peer.lastSeen = Math.min(now, peer.lastSeen + lateMs);
      if (now - peer.lastSeen >= this.#settings.timeoutMs) this.#lose(peer);
      else if (!peer.isEstablished) this.#shakeIfDue(peer, now);
    }
  }
}

function channelOf(name, nodeId) {
  return nodeId === undefined ? `worker-server.${name}.all` : `worker-server.${name}.node.${nodeId}`;
}

module.exports = { Membership };
