'use strict';

// What the HTTP handlers of the gateway and the status page require of their options. No error holds a value: it may be, or
// hold, a key.

/** The error for an option that is not as `expected`. */
const wrongOption = (name, expected) => new TypeError(`options.${name} must be ${expected}`);

/**
 * A path, without the slash at its end, to which other paths are appended.
 *
 * @throws {TypeError} if the value is no path
 */
function readPath(value) {
  if (typeof value !== 'string' || !/^\/[^?#\s]*$/.test(value)) {
    throw wrongOption('path', "a path that begins with '/', without a query");
  }
  return value.replace(/\/+$/, '');
}

/**
 * @param {string[]} methods what the handler calls on a server
 * @throws {TypeError} if the server lacks one
 */
function requireServer(server, methods) {
  if (methods.some((method) => typeof server?.[method] !== 'function')) {
    throw new TypeError('server must be a WorkerServer');
  }
}

module.exports = { readPath, requireServer, wrongOption };
