'use strict';

// Workers of the package under test, which are closed after each test.

const { Worker } = require('../../../lib/worker/index.js');
const { onCleanup } = require('../../support/cleanup.js');
const { recordingLogger } = require('../../support/logger.js');

const CAPABILITIES = { models: [{ modelId: 'm' }], maxConcurrentRequests: 2 };

/** Tries again at once. */
const QUICKLY = { initialDelayMs: 20, maxDelayMs: 50 };

/** A worker that hasn't begun to run; `log` and `states` record what it says. */
function createWorker(server, options = {}) {
  const log = recordingLogger();
  const worker = new Worker({
    url: server.url ?? `ws://127.0.0.1:${server.port}`,
    workerId: 'w',
    capabilities: CAPABILITIES,
    handler: () => undefined,
    reconnect: QUICKLY,
    handleSignals: [],
    logger: log,
    ...options,
  });
  worker.log = log;
  worker.states = [];
  worker.on('state', (state, details) => worker.states.push({ state, ...details }));
  onCleanup(() => worker.close());
  return worker;
}

/** A worker that runs. `ended` is what `run()` returns, and never an unhandled rejection. */
function runWorker(server, options) {
  const worker = createWorker(server, options);
  worker.ended = worker.run();
  worker.ended.catch(() => {});
  return worker;
}

/**
 * A worker that is registered with a difficult server, and its connection there. `address` is where it connects to, if
 * elsewhere.
 */
async function connectedWorker(address, options, server = address) {
  const worker = runWorker(address, options);
  const connection = await server.connection();
  await stateOf(worker, 'connected');
  return { worker, connection };
}

/** Resolves when the worker is in a state. */
function stateOf(worker, state) {
  if (worker.state === state) return Promise.resolve();
  return new Promise((resolve) => {
    const look = (now) => {
      if (now !== state) return;
      worker.off('state', look);
      resolve();
    };
    worker.on('state', look);
  });
}

/** A promise with its `resolve` and `reject`. */
function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/** Resolves with the reason when a signal aborts. */
const aborted = (signal) =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

/** Both ways in which a connection can live. */
const EACH_WAY = [
  ['in a thread of its own', true],
  ["on the program's thread", false],
];

module.exports = {
  CAPABILITIES,
  EACH_WAY,
  QUICKLY,
  aborted,
  connectedWorker,
  createWorker,
  deferred,
  runWorker,
  stateOf,
};
