'use strict';

const { performance } = require('node:perf_hooks');

/** Milliseconds on the monotonic clock: Node's own, also where a test has put something else in the place of `performance.now`. */
const now = Object.getPrototypeOf(performance).now.bind(performance);

/** The longest time that a timer of Node's can wait, in ms. */
const MAX_DELAY_MS = 2 ** 31 - 1;

module.exports = { MAX_DELAY_MS, now };
