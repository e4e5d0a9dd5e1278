'use strict';

const { performance } = require('node:perf_hooks');

/** Milliseconds on the monotonic clock: Node's own, also where a test has put something else in the place of `performance.now`. */
const now = Object.getPrototypeOf(performance).now.bind(performance);

module.exports = { now };
