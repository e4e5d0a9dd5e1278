'use strict';

/** A request from another node, its origin, that a worker of this node has. Its origin is notified of every event. */
class Hosted {
  /** Whether the origin was notified of the end, or is gone. */
  #isOver = false;
  #say;

  /** @param say says a message about it to its origin */
  constructor(id, nodeId, say) {
    this.id = id;
    this.nodeId = nodeId;
    this.#say = say;
  }

  get isOver() {
    return this.#isOver;
  }

  /** The origin is gone: it is notified of nothing more. */
  mute() {
    this.#isOver = true;
  }

  /** @param attempt the number that it was sent under */
  taken(worker, attempt) {
    this.#tell({ t: 'taken', w: worker, a: attempt });
  }

  /**
   * @param {string} text the worker's message
   * @param {boolean} isWhole whether the data is the whole message, and not a member of it
   */
  progress(text, isWhole) {
    this.#tell({ t: 'progress', h: isWhole || undefined }, text);
  }

  chunk(text, isWhole, bytes) {
    this.#tell({ t: 'chunk', h: isWhole || undefined, b: bytes }, text);
  }

  /** Its worker is lost, and may come back. */
  away() {
    this.#tell({ t: 'away' });
  }

  back(worker) {
    this.#tell({ t: 'back', w: worker });
  }

  // ---- The end: exactly one of these ----

  declined(why) {
    this.#end({ t: 'declined', y: why });
  }

  rejected(workerId) {
    this.#end({ t: 'rejected', w: workerId });
  }

  result(text, isWhole) {
    this.#end({ t: 'result', h: isWhole || undefined }, text);
  }

  /** @param error `{ code, message, isRetryable }` @param {string} [text] the worker's message, if it was one's */
  error(error, text, isWhole) {
    this.#end({ t: 'error', h: isWhole || undefined, e: error }, text);
  }

  /** Its slot is free again, after its origin had cancelled it. */
  freed() {
    this.#end({ t: 'freed' });
  }

  #tell(message, text) {
    if (!this.#isOver) this.#say({ ...message, f: this.id }, text);
  }

  #end(message, text) {
    this.#tell(message, text);
    this.#isOver = true;
  }
}

/** The owner's side of requests from other nodes: this node alone decides what its workers get. */
class Hosting {
  #membership;
  #local;
  #offers;
  /** The requests that have not ended, by origin and by the number that the origin has for each. */
  #hosted = new Map();
  /**
   * Attempts that have ended here of requests that go on at their origin: by node, by the request's id and by worker
   * the attempt's number.
   */
  #former = new Map();

  /**
   * @param local `host(claim, payloadText, hosted, offered)`, which takes a request, or calls `hosted.declined(why)`;
   *   `cancelHosted(hosted, reason)`; `onSaid()`, after which what was said leaves
   * @param offers slots that are kept for other nodes: see `waiting.js`
   */
  constructor(membership, local, offers) {
    this.#membership = membership;
    this.#local = local;
    this.#offers = offers;
  }

  get size() {
    let size = 0;
    for (const hosted of this.#hosted.values()) size += hosted.size;
    for (const former of this.#former.values()) size += former.size;
    return size;
  }

  onJoined(peer) {
    this.#hosted.set(peer.nodeId, new Map());
    this.#former.set(peer.nodeId, new Map());
  }

  onLeft(peer) {
    const hosted = this.#hosted.get(peer.nodeId);
    this.#hosted.delete(peer.nodeId);
    this.#former.delete(peer.nodeId);
    for (const one of hosted.values()) {
      one.mute();
      this.#local.cancelHosted(one, 'aborted');
    }
  }

  /** @returns whether the message was about a request of its sender's */
  onMessage(peer, message, text) {
    if (message.t === 'claim') this.#onClaim(peer, message, text);
    else if (message.t === 'cancel') this.#onCancel(peer, message);
    else if (message.t === 'over') this.#former.get(peer.nodeId).delete(message.id);
    else return false;
    return true;
  }

  #onClaim(peer, claim, text) {
    const ofPeer = this.#hosted.get(peer.nodeId);
    const hosted = new Hosted(claim.f, peer.nodeId, (message, more) => {
      this.#membership.say(peer, message, more);
      this.#local.onSaid();
    });
    ofPeer.set(hosted.id, hosted);
    this.#local.host(claim, text, hosted, this.#offers.redeem(peer, claim.o));
    if (hosted.isOver) ofPeer.delete(hosted.id);
  }

  #onCancel(peer, { f: id, r: reason }) {
    const hosted = this.#hosted.get(peer.nodeId).get(id);
    // Its end is on its way already.
    if (hosted !== undefined) this.#local.cancelHosted(hosted, reason);
  }

  /** An attempt ends here whose request goes on: until its origin says that it is over. */
  keepFormer({ nodeId }, requestId, workerId, attempt) {
    const former = this.#former.get(nodeId);
    if (former === undefined) return;
    if (!former.has(requestId)) former.set(requestId, new Map());
    former.get(requestId).set(workerId, attempt);
  }

  /** The number of an attempt that a worker had of a request that goes on elsewhere; `undefined` if it had none. */
  formerAttempt(requestId, workerId) {
    for (const former of this.#former.values()) {
      const attempt = former.get(requestId)?.get(workerId);
      if (attempt !== undefined) return attempt;
    }
    return undefined;
  }

  /** The request is over at this node, and its slot is free. */
  forget(hosted) {
    hosted.freed();
    this.#hosted.get(hosted.nodeId)?.delete(hosted.id);
  }
}

module.exports = { Hosting };
