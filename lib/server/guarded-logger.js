'use strict';

const { setImmediate } = require('node:timers');

/** The methods that are called on a logger. */
const { levels: LOG_METHODS } = require('../native/abi.js');

/**
 * A logger whose methods don't throw. What `logger` throws is the application's to deal with, by itself, as an uncaught
 * exception: nothing here must stop half-way.
 */
function guardedLogger(logger) {
  return Object.fromEntries(LOG_METHODS.map((method) => [method, (...line) => log(logger, method, line)]));
}

function log(logger, method, line) {
  try {
    logger[method](...line);
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}

module.exports = { LOG_METHODS, guardedLogger };
