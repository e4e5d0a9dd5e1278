'use strict';

// The package export `./worker`: the other end of a WorkerServer. Pure JavaScript; nothing here loads the native addon.

const { WorkerRejectedError } = require('./errors.js');
const { Worker } = require('./worker.js');

module.exports = { Worker, WorkerRejectedError };
