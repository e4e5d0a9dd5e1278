'use strict';

const os = require('node:os');

/** For so long it is looked for the next events, in milliseconds, before the native side is asked to wake this thread. */
const LOOK_MS = 0.1;
/** So much of it in one turn of the event loop, in microseconds: others have something for that, too. */
const LOOK_IN_TURN_US = 50;
/** It is looked for them while the score is so high. */
const ENOUGH = 16;
/** The score grows no higher. */
const MAX_SCORE = 32;
/** What events that come late, or nobody asked for, take from it. */
const LATE = 2;

/** With a single processor nothing could come while this thread looks. */
const HAS_SEVERAL_PROCESSORS = os.availableParallelism() > 1;

/**
 * Whether to look for the next events turn after turn of the event loop, instead of sleeping until they come. Where a few workers
 * and the application answer each other at once, waking this thread takes longer, and more processor time, than the answer itself.
 * It is done only as long as it proves right: after something was sent the next events came within the time that it is looked for
 * them, again and again.
 */
class Lookout {
  #score = 0;
  #lastEvents = -Infinity;

  /** Events have come, at `now`; `hasSent` tells whether something was sent since those before. */
  onEvents(now, hasSent) {
    const isSoon = hasSent && now - this.#lastEvents < LOOK_MS;
    this.#score = isSoon ? Math.min(MAX_SCORE, this.#score + 1) : Math.max(0, this.#score - LATE);
  }

  /** Events have been handled, at `now`. */
  onHandled(now) {
    this.#lastEvents = now;
  }

  /** Whether to look once more after a turn. */
  goesOn(now) {
    return HAS_SEVERAL_PROCESSORS && this.#score >= ENOUGH && now - this.#lastEvents < LOOK_MS;
  }
}

module.exports = { LOOK_IN_TURN_US, Lookout };
