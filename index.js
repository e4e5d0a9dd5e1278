'use strict';

const { ConnectionHandler } = require('./lib/connection-handler.js');
const { safeCompare } = require('./lib/safe-compare.js');
const { WorkerStatus, toWorkerInfo } = require('./lib/worker-info.js');
const { WorkerPool } = require('./lib/worker-pool.js');
const { WorkerServer } = require('./lib/worker-server.js');

// A literal of plain names, from which Node tells the named imports of ES modules.
module.exports = { ConnectionHandler, WorkerPool, WorkerServer, WorkerStatus, safeCompare, toWorkerInfo };
