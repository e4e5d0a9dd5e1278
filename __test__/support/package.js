'use strict';

// What is tested: the package, or the stand-in that the parity tests compare it with.
module.exports = require(process.env.WORKER_SERVER_IMPL === 'standin' ? '../parity/standin.js' : '../../index.js');
