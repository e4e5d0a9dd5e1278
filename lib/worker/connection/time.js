'use strict';

// Time as this folder measures it: the monotonic clock, which is the same one in every thread of a process, and timers
// that can wait for longer than Node's own.

/** The longest delay that one of Node's timers takes; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds on the monotonic clock. */
function monotonicMs() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/**
 * Calls `onTime` once, after a delay of any length; after Infinity never.
 *
 * @returns a function that stops the timer
 */
function startTimer(delayMs, onTime) {
  const due = monotonicMs() + delayMs;
  let timer;
  const arm = (leftMs) => {
    timer = setTimeout(
      () => {
        const stillMs = due - monotonicMs();
        if (stillMs > 0) arm(Math.ceil(stillMs));
        else onTime();
      },
      Math.min(leftMs, MAX_TIMER_MS),
    );
  };
  arm(delayMs);
  return () => clearTimeout(timer);
}

/** Resolves after a delay, or at once when `signal` aborts. */
function pause(delayMs, signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const stop = startTimer(delayMs, done);
    signal.addEventListener('abort', done);
  });
}

module.exports = { MAX_TIMER_MS, monotonicMs, pause, startTimer };
