'use strict';

const native = require('../native/addon.js');

/**
 * How long to pause before a request is tried again that has failed, or was rejected, `times` times: a random time, in
 * ms.
 */
const pauseMs = (times) => native.pauseMs(times, Math.random());

module.exports = { pauseMs };
