'use strict';

/**
 * Which workers each node has. Every peer is notified of this node's own, one by one as they come, change and go, and
 * their states with each heartbeat. One worker id is held by one node: a counter that each join raises above all that
 * its node has heard of decides, and of equal ones the node's id.
 */
class FleetWorkers {
  #nodeId;
  #membership;
  #local;
  #counter = 0;
  /** This node's own, by id, in the order in which they came: { entry, counter }. */
  #own = new Map();
  /** How often that list has changed. */
  #version = 0;
  /** By node: { version, workers }, a map from worker id to { entry, counter, state }. */
  #remote = new Map();

  /**
   * @param local `evict(workerId)`, `onWorkerElsewhere(workerId)`, `stateOf(workerId)`, and `directory`, which is
   *   notified of the others' workers: `add(nodeId, entry)`, `remove(nodeId, workerId)`, `forget(nodeId)`,
   *   `setState(nodeId, workerId, state)`
   */
  constructor(nodeId, membership, local) {
    this.#nodeId = nodeId;
    this.#membership = membership;
    this.#local = local;
  }

  // ---- Own ----

  /** A worker has joined this node. @param entry `{ id, … }`, all that peers shall know of it */
  join(entry) {
    this.#counter += 1;
    this.#own.delete(entry.id);
    this.#own.set(entry.id, { entry, counter: this.#counter });
    this.#tell({ t: 'join', w: entry, c: this.#counter });
  }

  /** It can do something else than before. */
  update(entry) {
    const own = this.#own.get(entry.id);
    if (own === undefined) return;
    own.entry = entry;
    this.#tell({ t: 'update', w: entry, c: own.counter });
  }

  leave(workerId) {
    if (this.#own.delete(workerId)) this.#tell({ t: 'leave', id: workerId });
  }

  #tell(message) {
    this.#version += 1;
    for (const peer of this.#membership.peers) this.#membership.say(peer, { ...message, v: this.#version });
  }

  /** What a heartbeat says of them: the version of the list, and the state of each. */
  states() {
    return { v: this.#version, w: [...this.#own.keys()].map((workerId) => this.#local.stateOf(workerId)) };
  }

  // ---- The others' ----

  onJoined(peer) {
    this.#remote.set(peer.nodeId, { version: 0, workers: new Map() });
    const all = [...this.#own.values()].map(({ entry, counter }) => [entry, counter]);
    this.#membership.say(peer, { t: 'workers', v: this.#version, all });
  }

  onLeft(peer) {
    this.#remote.delete(peer.nodeId);
    this.#local.directory.forget(peer.nodeId);
  }

  /** @returns whether the message was about workers */
  onMessage(peer, message) {
    const remote = this.#remote.get(peer.nodeId);
    switch (message.t) {
      case 'workers':
        for (const [entry, counter] of message.all) this.#add(peer, remote, entry, counter);
        break;
      case 'join':
      case 'update':
        this.#add(peer, remote, message.w, message.c);
        break;
      case 'leave':
        remote.workers.delete(message.id);
        this.#local.directory.remove(peer.nodeId, message.id);
        break;
      default:
        return false;
    }
    remote.version = message.v;
    return true;
  }

  #add(peer, remote, entry, counter) {
    const isNew = remote.workers.get(entry.id)?.counter !== counter;
    // One that comes again comes last.
    if (isNew) remote.workers.delete(entry.id);
    remote.workers.set(entry.id, { entry, counter });
    this.#local.directory.add(peer.nodeId, entry);
    this.#counter = Math.max(this.#counter, counter);
    if (!isNew) return;
    const own = this.#own.get(entry.id);
    if (own !== undefined && !outranks(counter, peer.nodeId, own.counter, this.#nodeId)) return;
    this.#local.onWorkerElsewhere(entry.id);
    if (own !== undefined) this.#local.evict(entry.id);
  }

  /** The states that a heartbeat brings. They count if it is about the same list. */
  onStates(peer, { v: version, w: states }) {
    const remote = this.#remote.get(peer.nodeId);
    if (remote.version !== version || states.length !== remote.workers.size) return;
    let at = 0;
    for (const [workerId, worker] of remote.workers) {
      const state = states[at];
      at += 1;
      // Most are as they were.
      if (isSame(state, worker.state)) continue;
      worker.state = state;
      this.#local.directory.setState(peer.nodeId, workerId, state);
    }
  }

  /** The workers of all other nodes: `{ entry, state }`, the state as of the last heartbeat, `undefined` before it. */
  *others() {
    for (const { workers } of this.#remote.values()) yield* workers.values();
  }

  /** The worker of a node, as that node has described it. */
  entryOf(nodeId, workerId) {
    return this.#remote.get(nodeId)?.workers.get(workerId)?.entry;
  }
}

const isSame = (state, last) => state.length === last?.length && state.every((value, at) => value === last[at]);

function outranks(counter, nodeId, otherCounter, otherNodeId) {
  return counter === otherCounter ? nodeId > otherNodeId : counter > otherCounter;
}

module.exports = { FleetWorkers };
