'use strict';

// Servers on port 0 that are stopped after each test, whatever became of it.

const implementation = require('./package.js');
const { recordingLogger } = require('./logger.js');

const created = new Set();

/** A server that isn't started yet, and the log it writes to. `from` is the package to take it from. */
function createServer(options = {}, from = implementation) {
  const log = recordingLogger();
  const server = new from.WorkerServer({ port: 0, logger: log, ...options });
  created.add(server);
  // Answers nothing: see sync() in worker.js.
  server.syncs = new Map();
  server.onWorkerMessage('sync', (worker, { n }) => {
    server.syncs.get(n)?.(worker);
    server.syncs.delete(n);
  });
  return { server, log };
}

/** A server that listens. */
async function startServer(options, from) {
  const made = createServer(options, from);
  await made.server.start();
  return made;
}

/** The arguments of the next call of a handler, e.g. `nextCall((h) => server.onWorkerConnected(h))`. */
function nextCall(subscribe) {
  return new Promise((resolve) => {
    const unsubscribe = subscribe((...args) => {
      unsubscribe();
      resolve(args);
    });
  });
}

afterEach(async () => {
  const servers = [...created];
  created.clear();
  await Promise.all(servers.map((server) => server.stop()));
});

module.exports = { createServer, startServer, nextCall };
