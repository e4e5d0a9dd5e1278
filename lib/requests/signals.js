'use strict';

/**
 * The signals that requests listen to: one listener on each, however many requests share it, and none once they are
 * settled. A long-lived signal, such as one that ends with the process, collects no listeners this way.
 */
class Signals {
  /** Signal → { requests, listener }. */
  #watched = new Map();
  #onAbort;

  /** @param {(requests: object[], reason: unknown) => void} onAbort Called with the requests whose signal aborts. */
  constructor(onAbort) {
    this.#onAbort = onAbort;
  }

  /** Watches `request.signal`, if it has one. */
  add(request) {
    const { signal } = request;
    if (signal === undefined) return;
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      const requests = new Set();
      watched = { requests, listener: () => this.#abort(signal, requests) };
      this.#watched.set(signal, watched);
      signal.addEventListener('abort', watched.listener);
    }
    watched.requests.add(request);
  }

  /** The request no longer needs its signal. */
  delete(request) {
    const { signal } = request;
    if (signal === undefined) return;
    const watched = this.#watched.get(signal);
    if (watched === undefined || !watched.requests.delete(request) || watched.requests.size > 0) return;
    this.#watched.delete(signal);
    signal.removeEventListener('abort', watched.listener);
  }

  #abort(signal, requests) {
    this.#onAbort([...requests], signal.reason);
  }
}

module.exports = { Signals };
