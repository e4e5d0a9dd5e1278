'use strict';

const { randomUUID } = require('node:crypto');
const { defaults: DEFAULTS, modelMatches: MODEL_MATCHES, priorities: PRIORITIES } = require('../native/abi.js');
const { wrongType } = require('../workers/handlers.js');
const { selectorText } = require('./selector.js');

const { queue: QUEUE_DEFAULTS, request: REQUEST_DEFAULTS } = DEFAULTS;
const MAX_REQUEST_ID_UNITS = 256;

/**
 * The settings that were read last, and the defaults that they were read with. Nearly all requests of a program ask for
 * the same: theirs are checked once, and take no memory of their own. None are kept that say whose a request is or hold
 * a function.
 */
let known = null;
let knownDefaults = null;

/**
 * Checks the options of a request and fills in the defaults.
 *
 * @param {object} defaults The server's: `queueTimeoutMs` and `modelMatch`.
 * @returns {{requestId: string, model?: string, signal?: AbortSignal, settings: object}} `settings`, which requests may
 * share, has all others.
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readRequestOptions(options, defaults) {
  if (options === undefined) options = {};
  if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options);
  const {
    model,
    category,
    modelMatch = defaults.modelMatch,
    workerId,
    where,
    affinity,
    priority = REQUEST_DEFAULTS.priority,
    fairKey,
    requestId,
    signal,
    timeoutMs = REQUEST_DEFAULTS.timeoutMs,
    queueTimeoutMs = defaults.queueTimeoutMs,
    idleTimeoutMs = REQUEST_DEFAULTS.idleTimeoutMs,
    maxAttempts = REQUEST_DEFAULTS.maxAttempts,
    onQueued,
    onStarted,
    onProgress,
  } = options;
  // Said one by one: this runs for each request, and a loop over their names would take longer than all the rest.
  optionalString(model, 'options.model');
  if (
    defaults === knownDefaults &&
    category === known.category &&
    modelMatch === known.modelMatch &&
    priority === PRIORITIES[known.priority] &&
    timeoutMs === known.timeoutMs &&
    queueTimeoutMs === known.queueTimeoutMs &&
    (idleTimeoutMs === 0 ? Infinity : idleTimeoutMs) === known.idleTimeoutMs &&
    maxAttempts === known.maxAttempts &&
    workerId === undefined &&
    where === undefined &&
    affinity === undefined &&
    fairKey === undefined &&
    onQueued === undefined &&
    onStarted === undefined &&
    onProgress === undefined
  ) {
    if (requestId !== undefined) requireRequestId(requestId);
    if (signal !== undefined) requireSignal(signal);
    return { requestId: requestId ?? newRequestId(), model, signal, settings: known };
  }
  optionalString(category, 'options.category');
  optionalString(workerId, 'options.workerId');
  optionalString(affinity, 'options.affinity');
  optionalString(fairKey, 'options.fairKey');
  requireOneOf(modelMatch, MODEL_MATCHES, 'options.modelMatch');
  requireOneOf(priority, PRIORITIES, 'options.priority');
  if (requestId !== undefined) requireRequestId(requestId);
  if (signal !== undefined) requireSignal(signal);
  requireDuration(timeoutMs, 'options.timeoutMs');
  if (timeoutMs === 0) throw wrongType('options.timeoutMs', 'a number of milliseconds above 0', timeoutMs);
  requireDuration(queueTimeoutMs, 'options.queueTimeoutMs');
  requireDuration(idleTimeoutMs, 'options.idleTimeoutMs');
  if (maxAttempts !== Infinity && !(Number.isInteger(maxAttempts) && maxAttempts >= 1)) {
    throw wrongType('options.maxAttempts', 'a whole number from 1, or Infinity', maxAttempts);
  }
  optionalFunction(onQueued, 'options.onQueued');
  optionalFunction(onStarted, 'options.onStarted');
  optionalFunction(onProgress, 'options.onProgress');
  const settings = {
    category,
    modelMatch,
    isDefaultMatch: modelMatch === defaults.modelMatch,
    workerId,
    where: where === undefined ? undefined : selectorText(where, 'options.where'),
    affinity,
    priority: PRIORITIES.indexOf(priority),
    fairKey,
    timeoutMs,
    queueTimeoutMs,
    idleTimeoutMs: idleTimeoutMs === 0 ? Infinity : idleTimeoutMs,
    maxAttempts,
    onQueued,
    onStarted,
    onProgress,
  };
  if ([workerId, where, affinity, fairKey, onQueued, onStarted, onProgress].every((value) => value === undefined)) {
    known = settings;
    knownDefaults = defaults;
  }
  return { requestId: requestId ?? newRequestId(), model, signal, settings };
}

/**
 * Checks those options of a request that say what it asks of a worker: of others nothing is said.
 *
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readDemandOptions(options, defaults) {
  if (options === undefined) options = {};
  if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options);
  const { model, modelMatch, category, workerId, where } = options;
  const { settings } = readRequestOptions({ model, modelMatch, category, workerId, where }, defaults);
  return { model, ...settings };
}

/**
 * Checks the server's option `queue` and fills in the defaults.
 *
 * @throws {TypeError} that names the member, what it must be and what it was
 */
function readQueueOptions(queue = {}) {
  if (typeof queue !== 'object' || queue === null || Array.isArray(queue)) {
    throw wrongType('options.queue', 'an object', queue);
  }
  const { maxSize = QUEUE_DEFAULTS.maxSize, maxBytes = QUEUE_DEFAULTS.maxBytes } = queue;
  const { timeoutMs = QUEUE_DEFAULTS.timeoutMs, maxPerKey = maxSize, whenNoWorker = 'wait' } = queue;
  for (const [name, value] of Object.entries({ maxSize, maxBytes, maxPerKey })) {
    if (value !== Infinity && !(Number.isInteger(value) && value >= 0)) {
      throw wrongType(`options.queue.${name}`, 'a whole number from 0, or Infinity', value);
    }
  }
  requireDuration(timeoutMs, 'options.queue.timeoutMs');
  requireOneOf(whenNoWorker, ['wait', 'fail'], 'options.queue.whenNoWorker');
  return { maxSize, maxBytes, timeoutMs, maxPerKey, whenNoWorker };
}

function readModelMatch(modelMatch = DEFAULTS.server.modelMatch) {
  requireOneOf(modelMatch, MODEL_MATCHES, 'options.modelMatch');
  return modelMatch;
}

/**
 * A UUID in one piece: Node's is a chain of its digits, which takes 450 bytes until somebody has read a letter of it.
 */
function newRequestId() {
  const requestId = randomUUID();
  requestId.charCodeAt(0);
  return requestId;
}

function optionalString(value, name) {
  if (value !== undefined && typeof value !== 'string') throw wrongType(name, 'a string', value);
}

function optionalFunction(value, name) {
  if (value !== undefined && typeof value !== 'function') throw wrongType(name, 'a function', value);
}

function requireOneOf(value, values, name) {
  if (!values.includes(value)) {
    const quoted = values.map((one) => `'${one}'`);
    throw wrongType(name, `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`, value);
  }
}

function requireDuration(value, name) {
  if (typeof value !== 'number' || !(value >= 0)) {
    throw wrongType(name, 'a number of milliseconds that is not negative, or Infinity', value);
  }
}

function requireRequestId(value) {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_REQUEST_ID_UNITS) {
    const expected = `a string of 1 to ${MAX_REQUEST_ID_UNITS} UTF-16 units`;
    // One that is far too long is not shown.
    throw wrongType('options.requestId', expected, typeof value === 'string' ? `${value.length} units` : value);
  }
}

function requireSignal(value) {
  // Signals come from other realms as well, where `instanceof` says no.
  const isSignal =
    typeof value === 'object' &&
    value !== null &&
    typeof value.aborted === 'boolean' &&
    typeof value.addEventListener === 'function' &&
    typeof value.removeEventListener === 'function';
  if (!isSignal) throw wrongType('options.signal', 'an AbortSignal', value);
}

module.exports = {
  readDemandOptions,
  readModelMatch,
  readQueueOptions,
  readRequestOptions,
  requireDuration,
  requireSignal,
};
