'use strict';

/** How long a slot is kept for another node that was offered it, in ms. Then it is given to another request. */
const OFFER_MS = 1_000;
/** When a request has begun to wait, peers are notified at once, but no more often than this, in ms. */
const TELL_MS = 20;
/** Most kinds of requests that one heartbeat names. */
const MAX_WANTS = 64;

/**
 * Requests that wait, across nodes. A request waits at its origin only; each heartbeat says what waits there, as wants:
 * what is asked of a worker (`key`), the priority, how long the oldest has waited, and how many. A node keeps the wants
 * of the others among its own requests that wait, in the place where their age puts them, and when a want's turn comes
 * it keeps the slot and offers it to that node, which answers with its oldest such request, or refuses.
 */
class FleetWaiting {
  #membership;
  #local;
  /** Slots that are kept, by number: { peer, slot, expiresAt }. */
  #offers = new Map();
  #lastOffer = 0;
  /** When peers are notified, between two heartbeats, of what waits here. */
  #tellAt = Infinity;
  #toldAt = -Infinity;
  #news = new Map();

  /**
   * @param local `wants()`; `setWant(nodeId, want)`, `clearWants(nodeId, except)`; `releaseSlot(slot)`;
   *   `takeOffer(nodeId, offer)`,
   *   which claims with one of the requests that wait here, or returns false
   */
  constructor(membership, local) {
    this.#membership = membership;
    this.#local = local;
  }

  get offered() {
    return this.#offers.size;
  }

  // ---- What waits here ----

  /** The wants that a heartbeat carries. */
  wants() {
    return this.#local.wants(MAX_WANTS);
  }

  /** A request has begun to wait. @param want `[key, priority, ageMs, count]` */
  began(want, now) {
    const [key, priority] = want;
    this.#news.set(`${priority}${key}`, want);
    if (this.#tellAt === Infinity) this.#tellAt = Math.max(now, this.#toldAt + TELL_MS);
  }

  onOffer(peer, { o: offer, q: key, p: priority, w: workerId }) {
    if (!this.#local.takeOffer(peer.nodeId, { number: offer, key, priority, workerId })) {
      this.#membership.say(peer, { t: 'refuse', o: offer });
    }
  }

  // ---- What waits elsewhere ----

  /** @param isAll whether nothing else waits there */
  onWants(peer, wants, isAll) {
    if (isAll) this.#local.clearWants(peer.nodeId, new Set(wants.map(([key, priority]) => `${priority}${key}`)));
    for (const want of wants) this.#local.setWant(peer.nodeId, want);
  }

  /** A want of a node has got a slot of a worker of this node. False if that node is gone. */
  offer(nodeId, { key, priority }, slot, workerId, now) {
    const peer = this.#membership.peer(nodeId);
    if (peer === undefined) return false;
    this.#lastOffer += 1;
    this.#offers.set(this.#lastOffer, { peer, slot, expiresAt: now + OFFER_MS });
    this.#membership.say(peer, { t: 'offer', o: this.#lastOffer, q: key, p: priority, w: workerId });
    return true;
  }

  /** The slot that was kept under a number; `undefined` if it is kept no longer. */
  redeem(peer, number) {
    const offer = this.#offers.get(number);
    if (offer === undefined || offer.peer !== peer) return undefined;
    this.#offers.delete(number);
    return offer.slot;
  }

  onLeft(peer) {
    this.#local.clearWants(peer.nodeId, new Set());
    for (const [number, offer] of [...this.#offers]) if (offer.peer === peer) this.#release(number, offer);
  }

  #release(number, { slot }) {
    this.#offers.delete(number);
    this.#local.releaseSlot(slot);
  }

  /** @returns whether the message was about what waits */
  onMessage(peer, message) {
    if (message.t === 'offer') {
      this.onOffer(peer, message);
    } else if (message.t === 'refuse') {
      const slot = this.redeem(peer, message.o);
      if (slot !== undefined) this.#local.releaseSlot(slot);
    } else {
      return false;
    }
    return true;
  }

  // ---- Time ----

  get nextDueAt() {
    let due = this.#tellAt;
    for (const { expiresAt } of this.#offers.values()) due = Math.min(due, expiresAt);
    return due;
  }

  tick(now) {
    for (const [number, offer] of [...this.#offers]) if (offer.expiresAt <= now) this.#release(number, offer);
    if (this.#tellAt > now) return;
    this.#tellAt = Infinity;
    this.#toldAt = now;
    this.#membership.broadcast({ k: 'want', q: [...this.#news.values()] });
    this.#news.clear();
  }
}

module.exports = { FleetWaiting };
