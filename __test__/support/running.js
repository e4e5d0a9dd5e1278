'use strict';

// Servers that are stopped by `cleanUp`, and a logger that remembers.

const { WorkerServer } = require('./package');
const { onCleanup } = require('./cleanup');

/** A logger whose lines can be read in `lines` and awaited with `line`. */
function recordingLogger() {
  const lines = [];
  const waiting = new Set();
  const record = (level) => (message, context) => {
    const line = { level, message, context };
    lines.push(line);
    for (const waiter of waiting) {
      if (waiter.matches(line)) {
        waiting.delete(waiter);
        waiter.resolve(line);
      }
    }
  };
  return {
    debug: record('debug'),
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    lines,
    /** All lines with this text. */
    all: (message) => lines.filter((line) => line.message === message),
    /** The first line that matches, now or later. `what` is its text, a pattern for it, or a function of the line. */
    line(what) {
      const matches = typeof what === 'function' ? what
        : (line) => (what instanceof RegExp ? what.test(line.message) : line.message === what);
      const found = lines.find(matches);
      return found ? Promise.resolve(found) : new Promise((resolve) => waiting.add({ matches, resolve }));
    },
  };
}

/** A server that isn't started yet, with a recording logger as `logger`. */
function newServer(options = {}) {
  const logger = recordingLogger();
  const server = new WorkerServer({ port: 0, logger, ...options });
  onCleanup(() => server.stop());
  return { server, logger };
}

/** A started server. `prepare` is called with it before it starts. */
async function startServer(options = {}, prepare = () => {}) {
  const { server, logger } = newServer(options);
  await prepare(server);
  await server.start();
  return { server, logger, port: server.port };
}

/** Resolves with what `subscribe` hands to its callback first. */
function first(subscribe) {
  return new Promise((resolve) => subscribe((...values) => resolve(values)));
}

/**
 * Resolves once `holds()` is true, asked each turn of the event loop: for states that have no event. A test that waits for
 * something that never comes ends by its own timeout.
 */
async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

module.exports = { recordingLogger, newServer, startServer, first, until };
