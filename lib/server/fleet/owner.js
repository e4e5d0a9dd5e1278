'use strict';

const { now } = require('../../time/clock.js');
const { HELD } = require('../../requests/request.js');
const { OWED, TAKEN, WAITS } = require('../../requests/outcomes.js');
const { HostedRequest } = require('./hosted-request.js');
const { entryOf, stateOf } = require('./remote-worker.js');

/** For a node that is away as much may wait as the readers of this many streams may lag behind. */
const MAX_BACKLOG_STREAMS = 16;

/**
 * What other nodes may have of this server: its workers, and the slots that are free when it is their turn. Requests
 * that wait elsewhere stand in this server's queue as wants, each in the place where its age puts it.
 */
class Owner {
  #fleet;
  #host;
  #dispatcher;
  #slots;
  #node;
  #registry;
  #tracked;
  #options;
  /** By node and by what is asked for: { nodeId, key, priority, ageMs, since, count, ticket }. */
  #wants = new Map();
  #byTicket = new Map();
  #hosted = new Map();
  #waitingHere;

  /** @param options `takesObjects`, `maxStreamBytes` */
  constructor({ fleet, host, node, registry, tracked, waitingHere, options }) {
    this.#fleet = fleet;
    this.#host = host;
    this.#dispatcher = host.dispatcher;
    this.#slots = host.slots;
    this.#node = node;
    this.#registry = registry;
    this.#tracked = tracked;
    this.#waitingHere = waitingHere;
    this.#options = options;
  }

  // ---- Workers ----

  onWorkerJoined(record) {
    this.#node.workers.join(entryOf(record, this.#options.takesObjects));
    this.#fleet.flush();
  }

  onWorkerUpdated(record) {
    this.#node.workers.update(entryOf(record, this.#options.takesObjects));
    this.#fleet.flush();
  }

  onWorkerLeft(record) {
    this.#node.workers.leave(record.id);
    this.#fleet.flush();
  }

  /** For a heartbeat: the place of its status, its active requests, and those of each category that it limits. */
  stateOf(workerId) {
    const record = this.#registry.get(workerId);
    // The worker is about to leave.
    if (record === undefined) return [this.#fleet.unhealthy, 0];
    const limits = Object.keys(record.capabilities.concurrencyLimits ?? {});
    const counts = limits.map((category) => record.categoryActiveRequests.get(category) ?? 0);
    // A draining server takes no requests of other nodes.
    const status = this.#host.isRunning ? record.status : 'draining';
    return [this.#fleet.placeOf(status), record.activeRequests, ...counts];
  }

  totals() {
    let [workers, slots, busy] = [0, 0, 0];
    for (const { capabilities, activeRequests } of this.#registry.values()) {
      workers += 1;
      slots += capabilities.maxConcurrentRequests;
      busy += activeRequests;
    }
    return { workers, slots, busy, waiting: this.#waitingHere.size };
  }

  /** A worker with this id has come to another node, and stays there. */
  evict(workerId) {
    const record = this.#registry.get(workerId);
    if (record !== undefined) this.#fleet.dismiss(record);
  }

  // ---- Requests ----

  /** @param kept a slot that was offered, if the claim answers an offer */
  host(claim, payloadText, hosted, kept) {
    const { nodeId } = hosted;
    if (kept !== undefined) this.#unkeep(kept);
    const known = this.#dispatcher.get(claim.id);
    if (known !== undefined || this.#host.isTracked(claim.id)) {
      // An earlier attempt of the same request may have its slot still.
      const isEarlier = known?.isHosted === true && known.nodeId === nodeId && known.state === HELD;
      this.#decline(hosted, isEarlier ? 'room' : 'duplicate', kept);
      return;
    }
    if (!this.#host.isRunning) {
      this.#decline(hosted, 'room', kept);
      return;
    }
    const request = new HostedRequest(claim, payloadText, {
      hosted,
      owner: this,
      workerOf: stateOf,
      hasRoom: () => this.#node.backlog(nodeId) <= MAX_BACKLOG_STREAMS * this.#options.maxStreamBytes,
    });
    try {
      this.#host.prepare(request);
    } catch {
      // It was short enough for its origin, whose limits are others.
      this.#decline(hosted, 'room', kept);
      return;
    }
    this.#hosted.set(hosted, request);
    if (kept?.record.peer) this.#dispatcher.enterWith(request, kept);
    else this.#dispatcher.enter(request);
    this.#fleet.flush();
  }

  #decline(hosted, why, kept) {
    hosted.declined(why);
    if (kept !== undefined) this.#free(kept);
    this.#fleet.flush();
  }

  cancelHosted(hosted, reason) {
    const request = this.#hosted.get(hosted);
    if (request === undefined) return;
    request.letGo();
    this.#dispatcher.cancel(request, new Error(reason), reason);
  }

  /** A request of another node's has ended, and nothing of it is left. */
  forget(hosted) {
    this.#hosted.delete(hosted);
    this.#node.forget(hosted);
    this.#fleet.flush();
  }

  /** An attempt of such a request ends here, and its origin makes another one. */
  keepFormer(hosted, requestId, workerId, attempt) {
    this.#node.keepFormer(hosted, requestId, workerId, attempt);
  }

  // ---- What waits elsewhere ----

  get hasWants() {
    return this.#byTicket.size > 0;
  }

  setWant(nodeId, [key, priority, ageMs, count]) {
    const name = `${nodeId}/${priority}${key}`;
    let want = this.#wants.get(name);
    if (want === undefined) {
      want = { nodeId, key, priority, since: 0, count: 0, ticket: null };
      this.#wants.set(name, want);
    }
    want.since = now() - ageMs;
    want.count = count;
    this.#place(want);
  }

  clearWants(nodeId, except) {
    for (const [name, want] of [...this.#wants]) {
      if (want.nodeId !== nodeId || except.has(`${want.priority}${want.key}`)) continue;
      this.#wants.delete(name);
      want.count = 0;
      this.#unplace(want);
    }
  }

  /** The server drains: no other node gets a slot any more. */
  dropWants() {
    for (const want of this.#wants.values()) {
      want.count = 0;
      this.#unplace(want);
    }
    this.#wants.clear();
  }

  #unplace(want) {
    if (want.ticket === null) return;
    this.#slots.withdrawTicket(want.ticket);
    this.#byTicket.delete(want.ticket);
    want.ticket = null;
  }

  /** Puts a want into the queue while requests stand behind it, and offers it the slots that are free. */
  #place(want) {
    while (want.ticket === null && want.count > 0 && this.#host.isRunning) {
      const outcome = this.#slots.submitWant(want, this.#waitingHere.arrivalAt(want.since));
      if (outcome === TAKEN) {
        this.#offer(want, this.#slots.granted());
      } else if (outcome === OWED) {
        this.#dispatcher.dispatch();
      } else if (outcome === WAITS) {
        want.ticket = this.#slots.lastTicket();
        this.#byTicket.set(want.ticket, want);
      } else {
        return;
      }
    }
  }

  /** A want has got a slot, by its ticket in the queue. */
  onGranted(ticket) {
    const want = this.#byTicket.get(ticket);
    this.#byTicket.delete(ticket);
    want.ticket = null;
    this.#offer(want, this.#slots.granted());
    this.#place(want);
  }

  #offer(want, slot) {
    want.count -= 1;
    // The native side counts it already.
    slot.record.activeRequests += 1;
    slot.category = JSON.parse(want.key).category;
    if (!this.#node.offer(want.nodeId, want, slot, slot.record.id, now())) {
      want.count = 0;
      this.#unkeep(slot);
      this.#free(slot);
    }
    this.#fleet.flush();
  }

  /** A slot is kept no longer: a request has it, or it is free. */
  #unkeep({ record }) {
    record.activeRequests = Math.max(0, record.activeRequests - 1);
  }

  /** A slot was kept, and no request of the other node has come for it: it is free again. */
  releaseSlot(slot) {
    this.#unkeep(slot);
    this.#free(slot);
    this.#dispatcher.dispatch();
  }

  #free({ record, category }) {
    if (record.peer !== null) this.#tracked.free(record, category);
  }
}

module.exports = { Owner };
