'use strict';

const { randomUUID } = require('node:crypto');
const { inspect } = require('node:util');

/** What names of fleets and ids of nodes are made of: they become parts of channels' names. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const CLUSTER_DEFAULTS = Object.freeze({ name: 'default', preferLocal: true, heartbeatMs: 2_000, timeoutMs: 10_000 });
/** Fewer would take a node for dead that has only been busy. */
const MIN_HEARTBEATS = 3;

/**
 * Checks the server's option `cluster` and fills in the defaults.
 *
 * @returns `undefined` without one
 * @throws {TypeError} that names the member and what it must be, and never holds a secret
 */
function readClusterOptions(cluster) {
  if (cluster === undefined) return undefined;
  if (typeof cluster !== 'object' || cluster === null) throw wrong('options.cluster', 'an object', cluster);
  const { adapter, nodeId = randomUUID(), secret } = cluster;
  const { name, preferLocal, heartbeatMs, timeoutMs } = { ...CLUSTER_DEFAULTS, ...withoutUndefined(cluster) };
  const isAdapter = typeof adapter?.publish === 'function' && typeof adapter.subscribe === 'function';
  if (!isAdapter)
    throw new TypeError('options.cluster.adapter must be an object with the methods publish and subscribe');
  if (adapter.close !== undefined && typeof adapter.close !== 'function') {
    throw new TypeError('options.cluster.adapter.close must be a function');
  }
  requireName(name, 'options.cluster.name');
  requireName(nodeId, 'options.cluster.nodeId');
  if (typeof preferLocal !== 'boolean') throw wrong('options.cluster.preferLocal', 'true or false', preferLocal);
  if (!(typeof heartbeatMs === 'number' && heartbeatMs > 0)) {
    throw wrong('options.cluster.heartbeatMs', 'a number of milliseconds above 0', heartbeatMs);
  }
  if (!(typeof timeoutMs === 'number' && timeoutMs >= MIN_HEARTBEATS * heartbeatMs)) {
    const expected = `a number of milliseconds, at least ${MIN_HEARTBEATS} times options.cluster.heartbeatMs (${heartbeatMs})`;
    throw wrong('options.cluster.timeoutMs', expected, timeoutMs);
  }
  if (secret !== undefined && (typeof secret !== 'string' || secret === '')) {
    throw new TypeError('options.cluster.secret must be a string that is not empty');
  }
  return { adapter, name, nodeId, preferLocal, heartbeatMs, timeoutMs, secret };
}

function requireName(value, name) {
  if (typeof value !== 'string' || !NAME.test(value)) {
    throw wrong(name, '1 to 64 of the letters A to Z and a to z, digits, _ and -', value);
  }
}

const withoutUndefined = (object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

const wrong = (name, expected, value) =>
  new TypeError(`${name} must be ${expected}, got ${inspect(value, { depth: 0, maxStringLength: 100 })}`);

module.exports = { CLUSTER_DEFAULTS, readClusterOptions };
