'use strict';

const { randomUUID } = require('node:crypto');
const { MAX_DELAY_MS } = require('../time/clock.js');

/** By socket: what to call when it closes. One listener on each, however many requests were pipelined on it. */
const watchers = new WeakMap();

/** Calls `fn` when a socket closes, or has. Returns how to stop that. */
function whenClosed(socket, fn) {
  if (socket.destroyed) {
    fn();
    return () => {};
  }
  let fns = watchers.get(socket);
  if (fns === undefined) {
    fns = new Set();
    watchers.set(socket, fns);
    socket.once('close', () => {
      for (const each of [...fns]) each();
    });
  }
  fns.add(fn);
  return () => fns.delete(fn);
}

/**
 * A request and its answer. It knows when the client is gone, and cuts one that takes nothing of what is written to it
 * for `stallTimeoutMs`.
 */
class Exchange {
  #res;
  #stallTimeoutMs;
  #controller = new AbortController();
  #cleanUps = [];
  /** Writes that the system has not taken yet. */
  #unwritten = 0;
  #isTimed = false;
  #isGone = false;
  #onRoom = () => {};

  /**
   * @param {object} options
   * @param {number} options.stallTimeoutMs
   * @param {() => void} options.onStalled called when a client is cut
   */
  constructor(req, res, { stallTimeoutMs, onStalled }) {
    this.req = req;
    this.#res = res;
    this.#stallTimeoutMs = Math.min(stallTimeoutMs, MAX_DELAY_MS);
    /** What the client can ask about; a request's own id, once it has one. */
    this.requestId = randomUUID();
    // Not the response's own event: one that waits behind another on its connection has none.
    this.#cleanUps.push(whenClosed(req.socket, () => this.#onGone()));
    res.on('drain', () => this.#onRoom());
    // A socket's timeout begins anew with every part of a write that the peer takes.
    res.on('timeout', () => {
      onStalled();
      req.socket.destroy();
    });
  }

  /** Aborts when the client is gone, or a signal that was joined aborts. */
  get signal() {
    return this.#controller.signal;
  }

  get isGone() {
    return this.#isGone;
  }

  /** Aborts `this.signal` with `signal`. */
  join(signal) {
    const abort = () => this.#controller.abort(signal.reason);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort);
    this.#cleanUps.push(() => signal.removeEventListener('abort', abort));
  }

  /** A whole answer. `body` is sent as JSON. */
  sendJson(status, body, headers = {}) {
    this.#send(status, 'application/json', JSON.stringify(body ?? null), headers);
  }

  sendError({ status, body, headers }) {
    // What came from a worker may be what another server said in its own words.
    if (typeof body === 'string') this.#send(status, 'text/plain; charset=utf-8', body, headers);
    else this.sendJson(status, body, headers);
  }

  #send(status, type, text, headers) {
    if (this.#isGone) return;
    this.writeHead(status, { ...headers, 'Content-Type': type, 'Content-Length': String(Buffer.byteLength(text)) });
    this.end(text);
  }

  writeHead(status, headers) {
    this.#res.writeHead(status, { ...headers, 'x-request-id': this.requestId });
  }

  /** Writes a part of the answer. Resolves when there is room for more, or when the client is gone. */
  async write(text) {
    if (this.#isGone || this.#write(text)) return;
    this.#time();
    await new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  /**
   * Writes a sign of life, unless the client has yet to take what was written before; and watches whether it takes
   * that.
   */
  ping(text) {
    if (this.#isGone) return;
    if (this.#unwritten === 0) this.#write(text);
    this.#time();
  }

  #write(text) {
    this.#unwritten += 1;
    return this.#res.write(text, () => {
      this.#unwritten -= 1;
      if (this.#unwritten === 0) this.#untime();
    });
  }

  end(text) {
    if (this.#isGone) return;
    this.#time();
    // Before Node's own listener, which sets the timeout of an idle connection, or to the next response.
    this.#res.prependOnceListener('finish', () => this.#untime());
    this.#res.end(text);
  }

  #time() {
    if (this.#isTimed) return;
    this.#isTimed = true;
    this.#res.setTimeout(this.#stallTimeoutMs);
  }

  #untime() {
    if (!this.#isTimed || this.#isGone) return;
    this.#isTimed = false;
    this.#res.setTimeout(0);
  }

  #onGone() {
    this.#isGone = true;
    this.#controller.abort(new DOMException('The client is gone', 'AbortError'));
    this.#onRoom();
  }

  /** Nothing more is to be said, or asked, on behalf of this request. */
  close() {
    for (const cleanUp of this.#cleanUps) cleanUp();
  }
}

module.exports = { Exchange };
