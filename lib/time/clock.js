'use strict';

const { performance } = require('node:perf_hooks');

/**
 * Milliseconds on the monotonic clock, counted from the start of this thread: Node's own, also where a test has put
 * something else in the place of `performance.now`.
 */
const now = Object.getPrototypeOf(performance).now.bind(performance);

/** Milliseconds on the monotonic clock, which is the same one in every thread of a process. */
function monotonicMs() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** The longest delay that one of Node's timers takes, in ms; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

module.exports = { MAX_DELAY_MS, monotonicMs, now };
