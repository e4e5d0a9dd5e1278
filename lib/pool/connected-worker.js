'use strict';

const { wrongType } = require('../workers/handlers.js');
const { STATUSES } = require('../workers/worker-info.js');

const isObject = (value) => typeof value === 'object' && value !== null;
const hasMethods = (value, ...names) => isObject(value) && names.every((name) => typeof value[name] === 'function');

/** What the pool needs of a worker besides its capabilities: field, what it must be, and whether it is that. */
const FIELDS = [
  ['id', 'a string', (value) => typeof value === 'string'],
  ['websocket', 'an object', isObject],
  ['status', `one of ${STATUSES.map((status) => `'${status}'`).join(', ')}`, (value) => STATUSES.includes(value)],
  ['lastHeartbeat', 'a Date', (value) => hasMethods(value, 'getTime')],
  ['activeRequests', 'a number', (value) => typeof value === 'number' && !Number.isNaN(value)],
  ['completedRequests', 'a number', (value) => typeof value === 'number' && !Number.isNaN(value)],
  // Asked for by their methods: a Set of another realm is no instance of this one's.
  ['pendingRequests', 'a Set', (value) => hasMethods(value, 'has', 'add', 'delete', 'forEach')],
  ['requestCategories', 'a Map', (value) => hasMethods(value, 'get', 'set', 'delete')],
  ['categoryActiveRequests', 'a Map', (value) => hasMethods(value, 'get', 'set')],
];

/** Throws a TypeError that names the first field of a caller's worker that is missing or mistyped. */
function checkWorker(worker) {
  if (!isObject(worker)) throw wrongType('worker', 'an object', worker);
  for (const [field, expected, fits] of FIELDS) {
    const value = worker[field];
    if (!fits(value)) throw wrongType(`worker.${field}`, expected, value);
  }
}

/** A value that no object belongs in, with all that JSON can't hold or might not come to an end of left out. */
function leaf(value) {
  if (isObject(value)) return Array.isArray(value) ? [] : {};
  return typeof value === 'bigint' ? undefined : value;
}

/**
 * The part of a worker's capabilities that selection needs, as JSON text for the native side to judge; undefined if
 * there is none. The rest (metadata, say) may hold anything, even what JSON can't.
 */
function capabilitiesText(capabilities) {
  if (!isObject(capabilities) || Array.isArray(capabilities)) return JSON.stringify(leaf(capabilities));
  const { models, maxConcurrentRequests, concurrencyLimits } = capabilities;
  const limits = Object.entries(isObject(concurrencyLimits) ? concurrencyLimits : {});
  return JSON.stringify({
    models: Array.isArray(models) ? Array.from(models, modelOf) : leaf(models),
    maxConcurrentRequests: leaf(maxConcurrentRequests),
    concurrencyLimits:
      isObject(concurrencyLimits) && !Array.isArray(concurrencyLimits)
        ? Object.fromEntries(limits.map(([category, limit]) => [category, leaf(limit)]))
        : leaf(concurrencyLimits),
  });
}

function modelOf(model) {
  return isObject(model) && !Array.isArray(model) ? { modelId: leaf(model.modelId) } : leaf(model);
}

module.exports = { checkWorker, capabilitiesText };
