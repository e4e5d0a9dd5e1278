'use strict';

/**
 * Where the functions are that run when the process exits. All copies of this module in a process share one listener,
 * which is there as long as there are functions: tests that load the package again and again would otherwise leave one
 * each.
 */
const SHARED = Symbol.for('@hardlydifficult/worker-server/exit-hook/1');

function sharedHook() {
  if (process[SHARED] === undefined) {
    const functions = new Set();
    const listener = () => {
      for (const run of functions) {
        try {
          run();
        } catch {
          // It keeps the others from nothing, and nobody is left to report it to.
        }
      }
    };
    Object.defineProperty(process, SHARED, { value: { functions, listener } });
  }
  return process[SHARED];
}

/** Has `run` called when the process exits. Returns a function that takes that back. */
function onProcessExit(run) {
  const { functions, listener } = sharedHook();
  if (functions.size === 0) process.on('exit', listener);
  functions.add(run);
  return () => {
    if (functions.delete(run) && functions.size === 0) process.off('exit', listener);
  };
}

module.exports = { onProcessExit };
