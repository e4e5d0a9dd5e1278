'use strict';

// How many requests ended in each of the last minutes' intervals, and how long they took.

const clock = require('../time/clock.js');

const INTERVAL_MS = 5_000;
const INTERVALS = 120;

/** Durations are counted in steps that grow with them, by 1 / 16 of a doubling: a quantile is right within 2.2 %. */
const STEPS_A_DOUBLING = 16;
/** From 1 / 16 ms to some 50 days. */
const LOWEST_EXPONENT = -4;
const STEPS = STEPS_A_DOUBLING * (32 - LOWEST_EXPONENT);

class History {
  /** The intervals that are over, oldest first, as `entries` returns them. */
  #past = [];
  #completed = 0;
  #failed = 0;
  #steps = new Uint32Array(STEPS);
  /** The number of the current interval, counted from the process' own start. */
  #interval;
  #now;
  #origin;

  /**
   * @param {() => number} now A clock that never goes back, in ms.
   * @param {number} epoch What the calendar says when that clock is at 0.
   */
  constructor(now = clock.now, epoch = Date.now() - now()) {
    this.#now = now;
    // So that intervals begin at whole multiples on the calendar.
    this.#origin = Math.floor(epoch / INTERVAL_MS) * INTERVAL_MS;
    this.#offset = epoch - this.#origin;
    this.#interval = this.#current();
  }

  #offset;

  completed(durationMs) {
    this.#advance();
    this.#completed += 1;
    this.#steps[stepOf(durationMs)] += 1;
  }

  failed() {
    this.#advance();
    this.#failed += 1;
  }

  /**
   * @returns {{at: string, completed: number, failed: number, p50Ms: number | null, p95Ms: number | null}[]} the last
   *   is not over
   */
  entries() {
    this.#advance();
    return [...this.#past, this.#entry()];
  }

  #current() {
    return Math.floor((this.#now() + this.#offset) / INTERVAL_MS);
  }

  /** Ends the intervals that are over. It costs nothing while nobody asks and nothing happens. */
  #advance() {
    const current = this.#current();
    if (current === this.#interval) return;
    this.#past.push(this.#entry());
    if (this.#completed > 0) this.#steps.fill(0);
    this.#completed = 0;
    this.#failed = 0;
    this.#interval = Math.max(this.#interval + 1, current - INTERVALS);
    for (; this.#interval < current; this.#interval += 1) this.#past.push(this.#entry());
    this.#past.splice(0, this.#past.length - (INTERVALS - 1));
  }

  #entry() {
    return {
      at: new Date(this.#origin + this.#interval * INTERVAL_MS).toISOString(),
      completed: this.#completed,
      failed: this.#failed,
      p50Ms: this.#quantile(0.5),
      p95Ms: this.#quantile(0.95),
    };
  }

  #quantile(share) {
    if (this.#completed === 0) return null;
    let rank = Math.ceil(this.#completed * share);
    const step = this.#steps.findIndex((count) => (rank -= count) <= 0);
    return Math.round(2 ** ((step + 0.5) / STEPS_A_DOUBLING + LOWEST_EXPONENT) * 100) / 100;
  }
}

function stepOf(durationMs) {
  const step = Math.floor((Math.log2(durationMs) - LOWEST_EXPONENT) * STEPS_A_DOUBLING);
  return Math.min(Math.max(step, 0), STEPS - 1);
}

module.exports = { History, INTERVALS, INTERVAL_MS };
