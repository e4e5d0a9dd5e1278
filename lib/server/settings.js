'use strict';

/**
 * The key under which a server shows its logger for lines that any peer can cause, its limits and how to count that one
 * held, when it started and the workers of its fleet's other nodes to what is added to it, such as the gateway, so that
 * their lines go where its own go, and their peers have its limits. Registered, so that it is the same in every copy of
 * the package.
 */
const SETTINGS = Symbol.for('@hardlydifficult/worker-server.settings');

module.exports = { SETTINGS };
