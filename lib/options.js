'use strict';

const { LOG_METHODS, guardedLogger } = require('./guarded-logger.js');
const { SILENT_LOGGER, typeName, wrongType } = require('./handlers.js');

const DEFAULTS = Object.freeze({
  heartbeatTimeoutMs: 60_000,
  healthCheckIntervalMs: 10_000,
  heartbeatIntervalMs: 15_000,
  pingIntervalMs: 0,
});

const DEFAULT_LIMITS = Object.freeze({
  maxMessageBytes: 100 * 1024 * 1024,
  headTimeoutMs: 10_000,
  maxHeadBytes: 16 * 1024,
  registrationTimeoutMs: 30_000,
  maxConnections: 100_000,
  maxUnregistered: 10_000,
  maxQueuedBytes: 64 * 1024 * 1024,
  stallTimeoutMs: 30_000,
  maxUnhandledBytes: 16 * 1024 * 1024,
  maxUnhandledBytesTotal: 256 * 1024 * 1024,
  stopGraceMs: 5_000,
});

/** The longest time that a timer can wait; Node's own timers have the same bound. */
const MAX_DELAY_MS = 2 ** 31 - 1;
const TIMERS = new Set(['healthCheckIntervalMs', 'pingIntervalMs', 'headTimeoutMs', 'registrationTimeoutMs', 'stallTimeoutMs', 'stopGraceMs']);

/**
 * Checks the options of a `WorkerServer` and fills in the defaults.
 *
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readOptions(options) {
  // Not what came instead: it may be a token.
  if (typeof options !== 'object' || options === null) throw new TypeError(`options must be an object, got ${typeName(options)}`);
  return {
    port: readPort(options.port),
    host: readHost(options.host),
    authTokens: readTokens(options.authToken, 'authToken'),
    acceptUnregistered: readFlag(options.acceptUnregistered, 'acceptUnregistered'),
    ...readNumbers(options, DEFAULTS, ''),
    limits: readLimits(options.limits),
    logger: readLogger(options.logger),
  };
}

function readPort(port) {
  // As Node's listen, which takes a port from the environment as the text that it is there.
  const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port;
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw wrongType('port', 'an integer from 0 to 65535', port);
  }
  return number;
}

function readHost(host) {
  if (host === undefined || host === null) return undefined;
  // Node's listen takes an empty host for none. Here that is no way to open the server to everybody.
  if (typeof host !== 'string' || host === '') throw wrongType('host', 'a string that is not empty', host);
  return host;
}

/** A flag; undefined if it is left to the server. */
function readFlag(value, name) {
  if (value !== undefined && value !== null && typeof value !== 'boolean') throw wrongType(name, 'a boolean', value);
  return value ?? undefined;
}

/**
 * The tokens of which a worker must give one; undefined if none is asked for. `name` is what the caller calls the option.
 *
 * @throws {TypeError} that tells nothing of the value, which may hold a secret
 */
function readTokens(authToken, name) {
  if (authToken === undefined) return undefined;
  if (typeof authToken === 'string') return [authToken.toWellFormed()];
  // In a list an empty token is a mistake, such as an unset variable, that would let workers in without any. A token that
  // is not in a list may be empty, as in 1.0.x.
  const tokens = Array.isArray(authToken) ? Array.from(authToken) : [];
  if (tokens.length === 0 || tokens.some((token) => typeof token !== 'string' || token === '')) {
    throw new TypeError(`${name} must be a string, or a list of one or more strings, none of them empty`);
  }
  return tokens.map((token) => token.toWellFormed());
}

function readLimits(limits) {
  if (limits === undefined || limits === null) return { ...DEFAULT_LIMITS };
  if (typeof limits !== 'object') throw wrongType('limits', 'an object', limits);
  for (const name of Object.keys(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      throw new TypeError(`limits.${name} is not a limit; there are ${Object.keys(DEFAULT_LIMITS).join(', ')}`);
    }
  }
  return readNumbers(limits, DEFAULT_LIMITS, 'limits.');
}

function readNumbers(from, defaults, prefix) {
  const read = {};
  for (const [name, byDefault] of Object.entries(defaults)) {
    const value = from[name] ?? byDefault;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
      throw wrongType(`${prefix}${name}`, 'a finite number that is not negative', value);
    }
    read[name] = TIMERS.has(name) ? Math.min(value, MAX_DELAY_MS) : value;
  }
  return read;
}

function readLogger(logger) {
  if (logger === undefined || logger === null) return SILENT_LOGGER;
  if (typeof logger !== 'object' && typeof logger !== 'function') throw wrongType('logger', 'an object', logger);
  for (const method of LOG_METHODS) {
    if (typeof logger[method] !== 'function') throw wrongType(`logger.${method}`, 'a function', logger[method]);
  }
  return guardedLogger(logger);
}

module.exports = { readOptions, readTokens };
