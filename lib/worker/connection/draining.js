'use strict';

// Leaving in peace: nothing new is taken, what runs comes to its end, then the connection is closed. Within a time.

const { startTimer } = require('../../time/timers.js');

/** How long handlers have to end after their signals were aborted, in ms. */
const ABORT_GRACE_MS = 1_000;
/** How long the server has to confirm the last ends before the connection is closed, in ms. */
const SETTLE_GRACE_MS = 1_000;

class Draining {
  #options;
  #started = false;
  #reason;
  #acknowledged = false;
  #settleGraceOver = false;
  #stopTimeout = () => {};
  #stopSettleGrace = null;

  /** @param options `timeoutMs`, `attempts`, `session()`, `abort()` and `leave()` */
  constructor(options) {
    this.#options = options;
  }

  start(reason) {
    if (this.#started) return;
    this.#started = true;
    this.#reason = reason;
    const { timeoutMs, abort, leave } = this.#options;
    this.#stopTimeout = startTimer(timeoutMs, () => {
      abort();
      this.#stopTimeout = startTimer(ABORT_GRACE_MS, leave);
    });
    if (this.#options.session()?.registered) this.#tell();
    this.check();
  }

  /** A new session begins without the mark. */
  registered() {
    this.#acknowledged = false;
    if (this.#started) this.#tell();
  }

  #tell() {
    const session = this.#options.session();
    if (session.features.request)
      session.push(JSON.stringify({ type: 'worker_status', status: 'draining', reason: this.#reason }));
  }

  /** The server sends nothing new from here on. An ack from before is about a status that the application has sent. */
  acknowledged() {
    if (!this.#started) return;
    this.#acknowledged = true;
    this.check();
  }

  /** Leaves if nothing keeps the worker any more. */
  check() {
    if (!this.#started) return;
    const { attempts, session, leave } = this.#options;
    const current = session();
    // The server may have let the worker in, and given it requests, by the time that its ack comes.
    if (current !== null && !current.registered) return;
    if (current === null) {
      // What runs or isn't delivered yet goes on with the next connection.
      if (!attempts.alive) leave();
    } else if (!current.features.request) leave();
    else if (this.#acknowledged && !attempts.busy) {
      if (!attempts.alive || this.#settleGraceOver) leave();
      else this.#awaitSettled();
    }
  }

  #awaitSettled() {
    this.#stopSettleGrace ??= startTimer(SETTLE_GRACE_MS, () => {
      this.#settleGraceOver = true;
      this.check();
    });
  }

  stop() {
    this.#stopTimeout();
    this.#stopSettleGrace?.();
  }
}

module.exports = { Draining };
