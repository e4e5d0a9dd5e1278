'use strict';

const {
  constants: { MAX_STRING_LENGTH },
} = require('node:buffer');
const os = require('node:os');
const { defaults: defaultsOfAll } = require('../native/abi.js');
const { LOG_METHODS, guardedLogger } = require('./guarded-logger.js');
const { MAX_DELAY_MS } = require('../time/clock.js');
const { SILENT_LOGGER, requireFunction, typeName, wrongType } = require('../workers/handlers.js');
const { warnOfUnknown } = require('../workers/unknown-options.js');
const { readClusterOptions } = require('../cluster/options.js');
const { readModelMatch, readQueueOptions } = require('../requests/options.js');
const { readRequestTypes } = require('../requests/request-types.js');
const { DOOR_OPTION_NAMES, readDoorOptions } = require('./door-options.js');
const { readSecureContext } = require('./secure-context.js');
const { DEFAULT_SIGNALS } = require('./signal-drain.js');
const { readTokens, warnOfEmptyToken } = require('./tokens.js');

const { limits: DEFAULT_LIMITS, server: DEFAULTS } = defaultsOfAll;

const LIMIT_NAMES = Object.keys(DEFAULT_LIMITS);
const OPTION_NAMES = [
  'port',
  'host',
  'authToken',
  'acceptUnregistered',
  ...DOOR_OPTION_NAMES,
  'tls',
  ...Object.keys(DEFAULTS),
  'queue',
  'requestTypes',
  'drainOnSignals',
  'injectTrace',
  'cluster',
  'logger',
  'limits',
];

/** The times that 0 turns off: from here on that is `Infinity`, which never comes. */
const SWITCHED_OFF_BY_0 = new Set([
  'pingIntervalMs',
  'headTimeoutMs',
  'registrationTimeoutMs',
  'authTimeoutMs',
  'stallTimeoutMs',
]);

/** The counts of which 0 is no limit, as it is where nothing is said. */
const NO_LIMIT_AT_0 = new Set(['maxAuthFailures']);

/** The signals that no process can listen to. */
const UNCATCHABLE = new Set(['SIGKILL', 'SIGSTOP']);

/**
 * Checks the options of a `WorkerServer` and fills in the defaults.
 *
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readOptions(options) {
  // Not what came instead: it may be a token.
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`options must be an object, got ${typeName(options)}`);
  const { limits } = options;
  const authTokens = readTokens(options.authToken, 'options.authToken');
  const { context, parts } = readSecureContext(options.tls);
  const timeOf = (name) => readTime(options[name] ?? DEFAULTS[name], name, 'options.');
  const read = {
    port: readPort(options.port),
    host: readHost(options.host),
    authTokens,
    acceptUnregistered: readSwitch(options.acceptUnregistered, 'options.acceptUnregistered', undefined),
    ...readDoorOptions(options),
    reusePort: readSwitch(options.reusePort, 'options.reusePort', DEFAULTS.reusePort),
    heartbeatTimeoutMs: timeOf('heartbeatTimeoutMs'),
    healthCheckIntervalMs: timeOf('healthCheckIntervalMs'),
    heartbeatIntervalMs: readInterval(options.heartbeatIntervalMs),
    pingIntervalMs: timeOf('pingIntervalMs'),
    queue: readQueueOptions(options.queue),
    modelMatch: readModelMatch(options.modelMatch),
    requestTypes: readRequestTypes(options.requestTypes),
    tls: context,
    drainOnSignals: readDrainOnSignals(options.drainOnSignals),
    injectTrace: readInjectTrace(options.injectTrace),
    cluster: readClusterOptions(options.cluster),
    limits: readLimits(limits),
    logger: readLogger(options.logger),
  };
  // Last, since only options that are taken are worth a warning.
  warnOfUnknown(options, limits, OPTION_NAMES, LIMIT_NAMES, parts);
  warnOfEmptyToken(authTokens, 'authToken');
  return read;
}

function readPort(port) {
  // As Node's listen, which takes a port from the environment as the text that it is there.
  const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port;
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw wrongType('options.port', 'an integer from 0 to 65535', port);
  }
  return withoutSign(number);
}

function readHost(host) {
  if (host === undefined || host === null) return undefined;
  // Node's listen takes an empty host for none. Here that is no way to open the server to everybody.
  if (typeof host !== 'string' || host === '') throw wrongType('options.host', 'a string that is not empty', host);
  return host;
}

function readSwitch(value, name, byDefault) {
  if (value === undefined || value === null) return byDefault;
  if (typeof value !== 'boolean') throw wrongType(name, 'true or false', value);
  return value;
}

/** The signals at which the server leaves in peace. */
function readDrainOnSignals(value) {
  if (value === undefined || value === false) return [];
  if (value === true) return [...DEFAULT_SIGNALS];
  const signals = Array.isArray(value) ? Array.from(value) : [undefined];
  const wrong = signals.find((signal) => !Object.hasOwn(os.constants.signals, signal) || UNCATCHABLE.has(signal));
  if (wrong !== undefined || signals.includes(undefined)) {
    throw wrongType('options.drainOnSignals', 'true, false or a list of names of signals that can be caught', value);
  }
  return [...new Set(signals)];
}

function readInjectTrace(value) {
  if (value !== undefined) requireFunction(value, 'options.injectTrace');
  return value;
}

function readLimits(limits) {
  if (limits === undefined || limits === null) return { ...DEFAULT_LIMITS };
  if (typeof limits !== 'object' || Array.isArray(limits)) throw wrongType('options.limits', 'an object', limits);
  const read = {};
  for (const name of LIMIT_NAMES) {
    const { [name]: value = DEFAULT_LIMITS[name] } = limits;
    read[name] = (name.endsWith('Ms') ? readTime : readCount)(value, name, 'options.limits.');
  }
  // Unlike the other times it is waited for by a timer of Node's, too. At its end stop() is done.
  read.stopGraceMs = Math.min(read.stopGraceMs, MAX_DELAY_MS);
  return read;
}

/** A size or a count. */
function readCount(value, name, prefix) {
  const least = NO_LIMIT_AT_0.has(name) ? 0 : 1;
  if (!Number.isInteger(value) || value < least) {
    throw wrongType(`${prefix}${name}`, `a whole number from ${least}`, value);
  }
  if (name === 'maxMessageBytes' && value > MAX_STRING_LENGTH) {
    throw wrongType(`${prefix}${name}`, `at most ${MAX_STRING_LENGTH}, what V8 can hold as one string`, value);
  }
  return value;
}

/** A time in whole milliseconds, or `Infinity`. */
function readTime(value, name, prefix) {
  if (typeof value !== 'number' || !(value >= 0)) {
    throw wrongType(`${prefix}${name}`, 'a number of milliseconds that is not negative', value);
  }
  return value === 0 && SWITCHED_OFF_BY_0.has(name) ? Infinity : withoutSign(Math.ceil(value));
}

/** Workers are sent it as it is, in JSON, which has no `Infinity`. */
function readInterval(value) {
  const interval = value ?? DEFAULTS.heartbeatIntervalMs;
  if (!Number.isFinite(interval) || interval < 0) {
    throw wrongType('options.heartbeatIntervalMs', 'a finite number of milliseconds that is not negative', interval);
  }
  return withoutSign(interval);
}

/** 0 for -0. */
const withoutSign = (number) => number + 0;

function readLogger(logger) {
  if (logger === undefined || logger === null) return SILENT_LOGGER;
  if (typeof logger !== 'object' && typeof logger !== 'function')
    throw wrongType('options.logger', 'an object', logger);
  for (const method of LOG_METHODS) {
    if (typeof logger[method] !== 'function') throw wrongType(`options.logger.${method}`, 'a function', logger[method]);
  }
  return guardedLogger(logger);
}

module.exports = { OPTION_NAMES, readOptions };
