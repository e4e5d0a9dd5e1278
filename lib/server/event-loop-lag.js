'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { now } = require('../time/clock.js');

/** How often it is looked, in ms. */
const INTERVAL_MS = 100;
/**
 * The present period of this length counts, and the one before it, in ms: a scraper that comes every 15 s misses
 * nothing.
 */
const PERIOD_MS = 15_000;
/** The lag is measured no more once nobody has asked for this long, in ms. */
const UNWATCHED_MS = 60_000;

/**
 * How late this thread's event loop is, measured by how late a timer is. There is one only while somebody asks, so that
 * nobody else pays for it, and it keeps no process alive.
 */
class EventLoopLag {
  #timer = null;
  #dueAt = 0;
  #readAt = 0;
  #periodBegan = 0;
  /** The most in this period, and in the one before. */
  #most = 0;
  #mostBefore = 0;
  #look = () => this.#onTimer();

  /** The most, in seconds, of the last 15 to 30 s in which it was looked. From now on it is looked. */
  read() {
    const time = now();
    this.#readAt = time;
    if (this.#timer === null) this.#arm(time);
    // The timer may be overdue just now.
    else this.#record(time);
    return Math.max(this.#most, this.#mostBefore) / 1000;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#most = 0;
    this.#mostBefore = 0;
  }

  #arm(time) {
    this.#dueAt = time + INTERVAL_MS;
    this.#timer = setTimeout(this.#look, INTERVAL_MS).unref();
  }

  #onTimer() {
    const time = now();
    this.#record(time);
    if (time - this.#readAt > UNWATCHED_MS) this.stop();
    else this.#arm(time);
  }

  #record(time) {
    const periods = Math.floor((time - this.#periodBegan) / PERIOD_MS);
    if (periods > 0) {
      this.#mostBefore = periods === 1 ? this.#most : 0;
      this.#most = 0;
      this.#periodBegan = time;
    }
    this.#most = Math.max(this.#most, time - this.#dueAt);
  }
}

module.exports = { EventLoopLag };
