'use strict';

const { now } = require('../time/clock.js');
const { Deadlines } = require('./deadlines.js');
const { DONE, HELD, PAUSING, SUSPENDED, WAITING } = require('./request.js');

/**
 * When something of a request is due, and what happens then: its timeouts, the end of a pause, of a wait for a confirmation, for
 * a worker that may come back, or for an end that is ready.
 */
class Schedule {
  #deadlines = new Deadlines((items) => this.#onDue(items));
  /** Stands among the deadlines for the next time that a pause after a rejection ends. */
  #wake = { place: -1 };
  #dispatcher;
  #host;

  constructor(dispatcher, host) {
    this.#dispatcher = dispatcher;
    this.#host = host;
  }

  /** The state of a request has changed, and with it what is due next. */
  set(request) {
    this.#deadlines.set(request, request.nextDueAt);
  }

  /** Nothing of the request is due any more. */
  delete(request) {
    this.#deadlines.delete(request);
  }

  clear() {
    this.#deadlines.clear();
  }

  /** A request that a worker rejected may go to it again after a pause: then there is something to give away though nothing happened. */
  setWake() {
    this.#deadlines.set(this.#wake, now() + this.#host.slots.nextWakeMs());
  }

  /**
   * Something of these requests may be due. What the server received before counts, even if JavaScript has been too busy to look
   * at it: so that is handled first.
   */
  #onDue(items) {
    this.#host.afterReceived(() => {
      for (const item of items) {
        if (item === this.#wake) this.#onWake();
        else this.#expire(item);
      }
    });
  }

  #onWake() {
    this.#dispatcher.wake();
    if (this.#dispatcher.hasWaiting) this.setWake();
  }

  #expire(request) {
    const dispatcher = this.#dispatcher;
    const time = now();
    if (request.state === DONE) return;
    if (request.nextDueAt > time) {
      this.set(request);
    } else if (request.state === HELD) {
      this.#host.metrics.limitHit('cancelGraceMs');
      dispatcher.freeUnconfirmed(request);
    } else if (request.timeoutAt <= time && request.timeoutAt <= request.stateEndsAt) {
      dispatcher.timeOut(request, `No result within ${request.options.timeoutMs} ms`);
    } else if (request.state === WAITING) {
      dispatcher.stopWaiting(request);
    } else if (request.state === PAUSING) {
      dispatcher.submit(request);
    } else if (request.stateEndsAt <= time) {
      if (request.state === SUSPENDED) this.#host.metrics.limitHit('resumeGraceMs');
      dispatcher.lose(request);
    } else {
      dispatcher.timeOut(request, `Nothing was heard of the request for ${request.options.idleTimeoutMs} ms`);
    }
  }
}

module.exports = { Schedule };
