'use strict';

// The options of the status page: checked, and with their defaults. No error holds a value.

const { SETTINGS } = require('../server/settings.js');
const clock = require('../time/clock.js');
const { SILENT_LOGGER } = require('../workers/handlers.js');
const { warnOfUnknownConfig } = require('../workers/unknown-options.js');

const DEFAULT_PATH = '/status';

const NAMES = ['path', 'authenticate', 'actions'];
/** What the page calls on a server. */
const METHODS = ['getWorkerInfo', 'getQueueInfo', 'explain', 'setWorkerStatus', 'disconnectWorker'];

const wrong = (name, expected) => new TypeError(`options.${name} must be ${expected}`);

/** @throws {TypeError} that names the option and what it must be */
function readOptions(options = {}) {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { authenticate, actions = false } = options;
  if (authenticate !== undefined && typeof authenticate !== 'function') throw wrong('authenticate', 'a function');
  if (typeof actions !== 'boolean') throw wrong('actions', 'a boolean');
  if (actions && authenticate === undefined) throw wrong('actions', 'false without options.authenticate');
  const read = { path: readPath(options.path), authenticate, actions };
  warnOfUnknownConfig(options, NAMES);
  return read;
}

/** The path without a slash at its end, to which the other paths are appended. */
function readPath(value = DEFAULT_PATH) {
  if (typeof value !== 'string' || !/^\/[^?#\s]*$/.test(value)) {
    throw wrong('path', "a path that begins with '/', without a query");
  }
  return value.replace(/\/+$/, '');
}

/** @throws {TypeError} if it can't be shown */
function requireServer(server) {
  if (METHODS.some((method) => typeof server?.[method] !== 'function')) {
    throw new TypeError('server must be a WorkerServer');
  }
}

/**
 * Where the server logs, and since when it runs.
 *
 * @returns {{ logger: import('../../index.js').WorkerServerLogger, startedAt(): number }} `startedAt` is a time of
 *   the clock of `lib/time/clock.js`; of a server that does not report it, when it was asked first.
 */
function settingsOf(server) {
  const createdAt = clock.now();
  return {
    logger: server[SETTINGS]?.logger ?? SILENT_LOGGER,
    startedAt: () => server[SETTINGS]?.startedAt ?? createdAt,
  };
}

module.exports = { readOptions, requireServer, settingsOf };
