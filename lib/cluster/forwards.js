'use strict';

/** A request of a caller at this node that another node was asked to take. */
class Forward {
  /**
   * 'claimed': the other node has not answered. 'taken': a worker there has it. 'cancelled': the caller has its end,
   * and the other node has not confirmed. Or 'over'.
   */
  state = 'claimed';

  constructor(id, nodeId, listener) {
    this.id = id;
    this.nodeId = nodeId;
    this.listener = listener;
  }
}

/**
 * The origin's side of requests that are at other nodes. The node that owns a worker takes a request or declines it;
 * until that node has answered, or counts as dead, no other node is asked.
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
   *   `onRejected(workerId)`, `onResult(text, isWhole)`, `onError(error, text, isWhole)`, `onFreed(hadEnded)` and
   *   `onLost()`; before that by `onTaken(worker, attempt)`, `onProgress(text, isWhole)`, `onChunk(text, isWhole, bytes)`,
   *   `onAway()` and `onBack(worker)`. A text is the worker's message, and `isWhole` whether all of it is data
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

  /** The caller has its end: the other node cancels the request, and says when its slot is free. */
  cancel(forward, reason) {
    if (forward.state === 'over' || forward.state === 'cancelled') return;
    forward.state = 'cancelled';
    const peer = this.#membership.peer(forward.nodeId);
    if (peer !== undefined) this.#membership.say(peer, { t: 'cancel', f: forward.id, r: reason });
  }

  /** A request is over of which these nodes had an earlier attempt. */
  over(requestId, nodeIds) {
    for (const nodeId of nodeIds) {
      const peer = this.#membership.peer(nodeId);
      if (peer !== undefined) this.#membership.say(peer, { t: 'over', id: requestId });
    }
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
      if (isCancelled) forward.listener.onFreed(false);
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
      if (isCancelled) forward.listener.onFreed(message.t !== 'freed');
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
  progress: { tell: (listener, { h }, text) => listener.onProgress(text, h === true) },
  chunk: { tell: (listener, { h, b }, text) => listener.onChunk(text, h === true, b) },
  away: { tell: (listener) => listener.onAway() },
  back: { tell: (listener, { w }) => listener.onBack(w) },
  declined: { isEnd: true, tell: (listener, { y }) => listener.onDeclined(y) },
  rejected: { isEnd: true, tell: (listener, { w }) => listener.onRejected(w) },
  result: { isEnd: true, tell: (listener, { h }, text) => listener.onResult(text, h === true) },
  error: { isEnd: true, tell: (listener, { h, e }, text) => listener.onError(e, text, h === true) },
  freed: { isEnd: true, tell: (listener) => listener.onFreed(false) },
};

module.exports = { Forwards };
