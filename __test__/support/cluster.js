'use strict';

// Fleets of several servers in one process, with short times.

const { EventEmitter } = require('node:events');
const { startServer, until } = require('./server.js');

const TIMES = Object.freeze({ heartbeatMs: 50, timeoutMs: 1_000 });

/** A server that is a node of a fleet. `adapter` carries its messages. */
async function startNode(adapter, nodeId, { cluster, ...options } = {}) {
  const node = await startServer({ ...options, cluster: { adapter, nodeId, ...TIMES, ...cluster } });
  node.nodeId = nodeId;
  return node;
}

/** Nodes with these ids, which all know each other. `adapterFor` makes the adapter of each. */
async function startFleet(nodeIds, options, adapterFor) {
  const { memoryAdapter } = require('../../lib/cluster');
  const bus = new EventEmitter();
  const make = adapterFor ?? (() => memoryAdapter(bus));
  const nodes = await Promise.all(nodeIds.map(async (nodeId) => startNode(await make(nodeId), nodeId, options)));
  const servers = nodes.map(({ server }) => server);
  await until(() => servers.every((server) => server.getClusterInfo().nodes.length === nodeIds.length));
  return servers;
}

/** Resolves when every node knows `count` workers in all. */
async function untilWorkers(servers, count) {
  await until(() => servers.every((server) => server.explain().workers.length === count));
}

module.exports = { TIMES, startFleet, startNode, untilWorkers };
