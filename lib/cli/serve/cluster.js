'use strict';

const { createRequire } = require('node:module');
const { Failure } = require('../errors.js');

/** The client packages of a broker, any of which will do. */
const CLIENTS = { 'nats:': ['@nats-io/transport-node', 'nats'], 'redis:': ['ioredis', 'redis'] };
const PROTOCOLS = Object.keys(CLIENTS);

/** @throws {Failure} always: what is missing first */
function refuseCluster(url) {
  const packages = CLIENTS[url.protocol];
  const beside = createRequire(__filename);
  const isThere = packages.some((name) => {
    try {
      return beside.resolve(name) !== undefined;
    } catch {
      return false;
    }
  });
  if (!isThere) throw new Failure(`--cluster needs the package ${packages.join(' or ')} installed beside this one`);
  throw new Failure('--cluster: this version has no cluster yet');
}

module.exports = { PROTOCOLS, refuseCluster };
