'use strict';

const { ConnectionHandler } = require('./lib/pool/connection-handler.js');
const { WorkerRequestError } = require('./lib/requests/errors.js');
const { safeCompare } = require('./lib/workers/safe-compare.js');
const { WorkerStatus, toWorkerInfo } = require('./lib/workers/worker-info.js');
const { WorkerPool } = require('./lib/pool/worker-pool.js');
const { WorkerServer } = require('./lib/server/worker-server.js');

// A literal of plain names, from which Node tells the named imports of ES modules.
module.exports = {
  ConnectionHandler,
  WorkerPool,
  WorkerRequestError,
  WorkerServer,
  WorkerStatus,
  safeCompare,
  toWorkerInfo,
};
