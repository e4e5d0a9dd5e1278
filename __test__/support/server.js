'use strict';

// Servers on port 0 that are stopped after each test, whatever became of it.

const implementation = require('./package.js');
const { endedTests, onCleanup } = require('./cleanup.js');
const { recordingLogger } = require('./logger.js');
const { serverOptions } = require('./transport.js');

/** A server that isn't started yet, and the log it writes to. `from` is the package to take it from. */
function createServer(options = {}, from = implementation) {
  const log = recordingLogger();
  const server = new from.WorkerServer({ port: 0, logger: log, ...serverOptions, ...options });
  onCleanup(() => server.stop());
  // Answers nothing: see sync() in worker.js.
  server.syncs = new Map();
  server.onWorkerMessage('sync', (worker, { n }) => {
    server.syncs.get(n)?.(worker);
    server.syncs.delete(n);
  });
  return { server, log };
}

/** A server that listens. `prepare` is called with it before it starts. */
async function startServer(options, prepare = () => {}) {
  const made = createServer(options);
  await prepare(made.server);
  await made.server.start();
  return { ...made, port: made.server.port };
}

/** The arguments of the next call of a handler, e.g. `nextCall((h) => server.onWorkerConnected(h))`. */
function nextCall(subscribe) {
  return new Promise((resolve) => {
    const unsubscribe = subscribe((...args) => {
      if (typeof unsubscribe === 'function') unsubscribe();
      resolve(args);
    });
  });
}

/**
 * Resolves once `holds()` is true, asked each turn of the event loop: for states that have no event. A test that waits
 * for something that never comes ends by its own timeout, and from then on nobody asks: rejects.
 */
async function until(holds) {
  const before = endedTests();
  while (!holds()) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (endedTests() > before) throw new Error('The test has ended, and what it waited for has not come');
  }
}

module.exports = { createServer, startServer, nextCall, until };
