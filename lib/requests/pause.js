'use strict';

/** The longest pause before the first further attempt. It doubles with each one, up to `MAX_PAUSE_MS`. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

/** How long to pause before a request is tried again that has failed, or was rejected, so many times: a random time, in ms. */
function pauseMs(times) {
  return Math.random() * Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (times - 1));
}

module.exports = { pauseMs };
