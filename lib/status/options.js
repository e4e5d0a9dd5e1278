'use strict';

// The options of the status page: checked, and with their defaults. No error holds a value.

const { readPath, wrongOption } = require('../http/handler-options.js');
const { SETTINGS } = require('../server/settings.js');
const clock = require('../time/clock.js');
const { SILENT_LOGGER } = require('../workers/handlers.js');
const { warnOfUnknownConfig } = require('../workers/unknown-options.js');

const DEFAULT_PATH = '/status';

const NAMES = ['path', 'authenticate', 'actions'];
/** What the page calls on a server. */
const METHODS = ['getWorkerInfo', 'getQueueInfo', 'explain', 'setWorkerStatus', 'disconnectWorker'];

/** @throws {TypeError} that names the option and what it must be */
function readOptions(options = {}) {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { path = DEFAULT_PATH, authenticate, actions = false } = options;
  if (authenticate !== undefined && typeof authenticate !== 'function') throw wrongOption('authenticate', 'a function');
  if (typeof actions !== 'boolean') throw wrongOption('actions', 'a boolean');
  if (actions && authenticate === undefined) throw wrongOption('actions', 'false without options.authenticate');
  const read = { path: readPath(path), authenticate, actions };
  warnOfUnknownConfig(options, NAMES);
  return read;
}

/**
 * Where the server logs what any peer can cause, and since when it runs.
 *
 * @returns {{ limitedLogger: import('../../index.js').WorkerServerLogger, startedAt(): number }} `startedAt` is a time of
 *   the clock of `lib/time/clock.js`; of a server that does not report it, when it was asked first.
 */
function settingsOf(server) {
  const createdAt = clock.now();
  return {
    limitedLogger: server[SETTINGS]?.limitedLogger ?? SILENT_LOGGER,
    startedAt: () => server[SETTINGS]?.startedAt ?? createdAt,
  };
}

module.exports = { METHODS, readOptions, settingsOf };
