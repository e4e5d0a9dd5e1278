'use strict';

// Timers that can wait for longer than Node's own, on the monotonic clock.

const { MAX_DELAY_MS, monotonicMs } = require('./clock.js');

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
      Math.min(leftMs, MAX_DELAY_MS),
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

module.exports = { pause, startTimer };
