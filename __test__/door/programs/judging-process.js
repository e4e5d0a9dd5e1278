'use strict';

// A server in a process of its own, whose application judges a registration when the test asks for it. The id `quick`
// is let in at once.

const obey = require('../../attackers/obey.js');
const { WorkerServer } = require('../../../index.js');

let server;
const waiting = [];
let heard = 0;

obey({
  async start(options) {
    const authenticate = ({ workerId }) => workerId === 'quick' || new Promise((resolve) => waiting.push(resolve));
    server = new WorkerServer({ port: 0, authenticate, ...options });
    server.onWorkerMessage('behind', () => {
      heard += 1;
    });
    await server.start();
    return server.port;
  },

  /** How many registrations wait, how many workers there are, how many messages were heard, and the process's memory. */
  look() {
    return { waiting: waiting.length, workers: server.getWorkerCount(), heard, rss: process.memoryUsage.rss() };
  },

  /** Lets all in who wait. */
  letIn() {
    for (const resolve of waiting.splice(0)) resolve(true);
  },

  stop: () => server.stop(),
});
