'use strict';

/** A request of this node's that another node was asked to take. */
class Forward {
  /**
   * Where it is: asked for ('claimed'), on a worker there ('taken'), let go of and not confirmed ('cancelled'), or
   * over.
   */
  state = 'claimed';

  constructor(id, nodeId, listener) {
    this.id = id;
    this.nodeId = nodeId;
    this.listener = listener;
  }
}

/**
 * The origin's side of requests that are elsewhere. The node that owns a worker takes a request or declines it; until
 * it has said which, or counts as dead, nobody else is asked.
 */
class Forwards {
  #membership;
  /** Those that are not over, by id. */
  #forwards = new Map();
  #lastId = 0;

  constructor(membership) {
    this.#membership = membership;
  }

  get size() {
    return this.#forwards.size;
  }

  /**
   * Asks a node to take a request.
   *
   * @param claim what it asks of a worker, and what the worker is sent
   * @param {string} [payloadText]
   * @param listener is notified of what becomes of it, last of all by one of `onDeclined(why)`,
   *   `onRejected(workerId)`, `onResult(text)`, `onError(error, dataText)`, `onFreed()` and `onLost()`; before that by
   *   `onTaken(worker, attempt)`, `onProgress(text)`, `onChunk(text, bytes)`, `onAway()` and `onBack(worker)`
   * @returns {Forward | null} `null` if that node is gone
   */
  claim(nodeId, claim, payloadText, listener) {
    const peer = this.#membership.peer(nodeId);
    if (peer === undefined) return null;
    this.#lastId += 1;
    const forward = new Forward(this.#lastId, nodeId, listener);
    this.#forwards.set(forward.id, forward);
    this.#membership.say(peer, { t: 'claim', f: forward.id, ...claim }, payloadText);
    return forward;
  }

  /** Its caller has its end: the node lets go of it, and says when. */
  cancel(forward, reason) {
    if (forward.state === 'over' || forward.state === 'cancelled') return;
    forward.state = 'cancelled';
    const peer = this.#membership.peer(forward.nodeId);
    if (peer !== undefined) this.#membership.say(peer, { t: 'cancel', f: forward.id, r: reason });
  }

  #end(forward) {
    forward.state = 'over';
    this.#forwards.delete(forward.id);
  }

  onLeft(peer) {
    for (const forward of [...this.#forwards.values()]) {
      if (forward.nodeId !== peer.nodeId) continue;
      const isCancelled = forward.state === 'cancelled';
      this.#end(forward);
      if (isCancelled) forward.listener.onFreed();
      else forward.listener.onLost();
    }
  }

  /** @returns whether the message was about a forward */
  onMessage(peer, message, text) {
    const forward = this.#forwards.get(message.f);
    const handle = HANDLERS[message.t];
    if (handle === undefined) return false;
    if (forward === undefined || forward.nodeId !== peer.nodeId) return true;
    const isCancelled = forward.state === 'cancelled';
    if (handle.isEnd) {
      this.#end(forward);
      // Whatever it was, that node has let go of it.
      if (isCancelled) forward.listener.onFreed();
      else handle.tell(forward.listener, message, text);
    } else if (!isCancelled) {
      if (message.t === 'taken') forward.state = 'taken';
      handle.tell(forward.listener, message, text);
    }
    return true;
  }
}

const HANDLERS = {
  taken: { tell: (listener, { w, a }) => listener.onTaken(w, a) },
  progress: { tell: (listener, message, text) => listener.onProgress(text) },
  chunk: { tell: (listener, { b }, text) => listener.onChunk(text, b) },
  away: { tell: (listener) => listener.onAway() },
  back: { tell: (listener, { w }) => listener.onBack(w) },
  declined: { isEnd: true, tell: (listener, { y }) => listener.onDeclined(y) },
  rejected: { isEnd: true, tell: (listener, { w }) => listener.onRejected(w) },
  result: { isEnd: true, tell: (listener, message, text) => listener.onResult(text) },
  error: { isEnd: true, tell: (listener, { e }, text) => listener.onError(e, text) },
  freed: { isEnd: true, tell: (listener) => listener.onFreed() },
};

module.exports = { Forwards };
