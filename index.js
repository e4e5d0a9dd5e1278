'use strict';

const { WorkerStatus, toWorkerInfo } = require('./lib/worker-info.js');
const { WorkerServer } = require('./lib/worker-server.js');

module.exports = { WorkerServer, WorkerStatus, toWorkerInfo };
