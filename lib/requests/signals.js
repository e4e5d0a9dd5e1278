'use strict';

/** Why a signal has aborted. It may be an object of the caller's: what it throws when it is asked is the reason then. */
function reasonOf(signal) {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}

/** Takes a listener off a signal. One that throws keeps it, and nobody else learns of that. */
function stopListening(signal, listener) {
  try {
    signal.removeEventListener('abort', listener);
  } catch {
    // What the listener does is over all the same.
  }
}

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

  /** Watches `request.signal`, if it has one. Throws what the signal throws, and watches nothing then. */
  add(request) {
    const { signal } = request;
    if (signal === undefined) return;
    let watched = this.#watched.get(signal);
    if (watched === undefined) {
      const requests = new Set();
      watched = { requests, listener: () => this.#onAbort([...requests], reasonOf(signal)) };
      signal.addEventListener('abort', watched.listener);
      this.#watched.set(signal, watched);
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
    stopListening(signal, watched.listener);
  }
}

module.exports = { Signals, reasonOf, stopListening };
