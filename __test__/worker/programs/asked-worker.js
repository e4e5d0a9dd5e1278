'use strict';

// A worker that counts how often it is asked for its token and its capabilities, and whose handler never lets go of its
// thread.

const { Worker } = require('../../../lib/worker/index.js');

let asked = 0;

const worker = new Worker({
  url: process.argv[2],
  authToken: () => `token-${asked + 1}`,
  capabilities: () => {
    asked += 1;
    return { models: [], maxConcurrentRequests: asked };
  },
  handler: () => {
    // Written before the thread is held for good.
    require('node:fs').writeSync(1, 'handling\n');
    for (;;);
  },
  reconnect: { initialDelayMs: 20, maxDelayMs: 50 },
});
worker.run();
