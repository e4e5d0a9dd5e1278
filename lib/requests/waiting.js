'use strict';

const { now } = require('../time/clock.js');
const { FULL, NEVER_WAITS, NO_WORKER, OWED, TAKEN, WAITS } = require('./outcomes.js');
const { DONE, WAITING } = require('./request.js');

/** How many places the list of those that wait keeps when nobody waits. */
const MAX_EMPTY = 64;

/**
 * How a request gets a slot: at once, when its turn has come, or, with other nodes, at one of them. Which request is next, and
 * which worker it gets, the native queue decides (`slots`); who stands behind each of its numbers is here.
 */
class Waiting {
  /** Those that wait, by their ticket, and how many they are. Places of nobody hold `null`. */
  #requests = [];
  #size = 0;
  #dispatcher;
  #slots;
  #schedule;
  #failures;
  /** See `lib/server/fleet/fleet.js`. `null` without one. */
  #fleet = null;

  constructor({ dispatcher, host, schedule, failures }) {
    this.#dispatcher = dispatcher;
    this.#slots = host.slots;
    this.#schedule = schedule;
    this.#failures = failures;
  }

  /** From now on requests may go to other nodes, and come from them. */
  joinFleet(fleet) {
    this.#fleet = fleet;
  }

  /** Whether somebody waits for a slot, be it at another node. */
  get hasAny() {
    return this.#size > 0 || this.#fleet?.hasWants === true;
  }

  /** A request, new or on its way to a further attempt, gets a free slot or waits for one. */
  submit(request) {
    request.state = WAITING;
    request.stateEndsAt = Infinity;
    if (this.#fleet === null || request.isHosted) this.#submitHere(request, true);
    else this.#fleet.submit(request, (mayWait) => this.#submitHere(request, mayWait));
  }

  /** It gets a slot of this server or, if it may, waits. False if there is no slot, and it may not. */
  #submitHere(request, mayWait) {
    const dispatcher = this.#dispatcher;
    for (;;) {
      const outcome = this.#slots.submit(request, mayWait);
      switch (outcome) {
        case TAKEN:
          if (dispatcher.start(request)) return true;
          // Its worker takes nothing at present: another one may.
          break;
        case OWED:
          this.dispatch();
          // A callback of one that got a slot may have ended this one.
          if (request.state === DONE) return true;
          break;
        case WAITS:
          this.#enqueue(request);
          return true;
        case NO_WORKER:
          dispatcher.fail(request, this.#failures.noWorker(request));
          return true;
        case NEVER_WAITS:
          if (!mayWait) return false;
          dispatcher.fail(request, this.#failures.withoutSlot(request));
          return true;
        case FULL:
          dispatcher.fail(request, this.#failures.fullQueue(request));
          return true;
      }
    }
  }

  /** It waits now. */
  #enqueue(request) {
    const isFirstWait = !request.hasWaited;
    request.hasWaited = true;
    request.stateEndsAt = now() + request.queueLeftMs;
    this.#enter(request);
    this.#schedule.set(request);
    this.#fleet?.onWait(request);
    if (request.rejectedBy !== null) this.#schedule.setWake();
    if (isFirstWait && request.options.onQueued !== undefined) {
      this.#dispatcher.call(request, 'onQueued', { position: this.#slots.position, size: this.#size });
    }
  }

  /** Gives free slots to those that wait, until there is none for any of them. */
  dispatch() {
    while (this.hasAny) {
      const ticket = this.#slots.dispatchNext();
      if (ticket === null) return;
      const request = this.#requests[ticket] ?? null;
      if (request === null) {
        // Its turn has come of somebody who waits at another node.
        this.#fleet.onGranted(ticket);
        continue;
      }
      this.#leave(request);
      this.#slots.give(request);
      if (!this.#dispatcher.start(request)) this.submit(request);
    }
  }

  /** It leaves the queue without a slot. */
  withdraw(request) {
    this.#slots.withdraw(request);
    this.#leave(request);
  }

  /** No slot became free for it in its queue time. */
  end(request) {
    this.withdraw(request);
    this.#dispatcher.fail(request, this.#failures.withoutSlot(request));
  }

  #enter(request) {
    const { ticket } = request;
    // Those of other nodes that wait have tickets of the same row. A list with gaps would become a table.
    while (this.#requests.length < ticket) this.#requests.push(null);
    this.#requests[ticket] = request;
    this.#size += 1;
  }

  /** It waits no longer. */
  #leave(request) {
    this.#requests[request.ticket] = null;
    this.#size -= 1;
    if (this.#size === 0 && this.#requests.length > MAX_EMPTY) this.#requests = [];
    this.#fleet?.onWaitEnd(request);
    request.ticket = null;
    request.queueLeftMs = Math.max(0, request.stateEndsAt - now());
    request.stateEndsAt = Infinity;
  }

  /** The server stops. */
  clear() {
    this.#requests = [];
    this.#size = 0;
  }
}

module.exports = { Waiting };
