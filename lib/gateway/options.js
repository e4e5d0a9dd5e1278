'use strict';

// The options of the gateway: checked, and with their defaults. No error holds a value: it may be, or hold, a key.

const { readPath, wrongOption } = require('../http/handler-options.js');
const { SETTINGS } = require('../server/settings.js');
const { SILENT_LOGGER } = require('../workers/handlers.js');
const { warnOfUnknownConfig } = require('../workers/unknown-options.js');

const DEFAULT_PATH = '/v1';
const DEFAULT_MAX_BODY_BYTES = 32 * 1024 * 1024;
/** For a server without these limits, such as a stand-in in an application's test. */
const DEFAULT_STALL_TIMEOUT_MS = 30_000;

const NAMES = ['path', 'apiKeys', 'authenticate', 'maxBodyBytes', 'options'];
/** What the gateway calls on a server. */
const METHODS = ['request', 'stream', 'getWorkerInfo'];

/** @throws {TypeError} that names the option and what it must be */
function readOptions(options = {}) {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { path = DEFAULT_PATH } = options;
  const read = {
    prefix: readPath(path),
    apiKeys: readApiKeys(options.apiKeys),
    authenticate: readFunction(options.authenticate, 'authenticate'),
    maxBodyBytes: readMaxBodyBytes(options.maxBodyBytes),
    requestOptions: readFunction(options.options, 'options'),
  };
  warnOfUnknownConfig(options, NAMES);
  return read;
}

/** Undefined: none is asked for. An empty list: none is right. */
function readApiKeys(value) {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw wrongOption('apiKeys', 'an array of strings');
  return Array.from(value, (key, i) => {
    if (typeof key !== 'string' || key === '') throw wrongOption(`apiKeys[${i}]`, 'a string that is not empty');
    return key;
  });
}

function readFunction(value, name) {
  if (value !== undefined && typeof value !== 'function') throw wrongOption(name, 'a function');
  return value;
}

function readMaxBodyBytes(value = DEFAULT_MAX_BODY_BYTES) {
  if (!Number.isSafeInteger(value) || value < 1) throw wrongOption('maxBodyBytes', 'a whole number of bytes from 1');
  return value;
}

/** The server's limited logger, how long a peer may take nothing, and the counter of peers that did. */
function settingsOf(server) {
  const { limitedLogger = SILENT_LOGGER, limits, limitHit } = server[SETTINGS] ?? {};
  return {
    limitedLogger,
    stallTimeoutMs: limits?.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS,
    onStalled: () => limitHit?.('stallTimeoutMs'),
  };
}

module.exports = { METHODS, readOptions, settingsOf };
