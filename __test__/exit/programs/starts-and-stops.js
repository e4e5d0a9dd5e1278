'use strict';

// Starts and stops, several times. Then nothing must keep it alive.

const { WorkerServer } = require('../../support/package');

(async () => {
  const server = new WorkerServer({ port: 0 });
  for (let i = 0; i < 3; i += 1) {
    await server.start();
    await server.stop();
  }
  console.log('stopped');
})();
