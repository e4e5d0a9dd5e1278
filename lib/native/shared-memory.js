'use strict';

const native = require('./addon.js');

/**
 * Whether this side and the native one can see the same memory. Where a host forbids that, as Electron does, what was
 * to be shared is copied without a word, so it is tried: each side writes once, and reads what the other wrote.
 */
function isShared() {
  const probe = new native.MemoryProbe();
  const memory = probe.memory();
  memory[0] = 1;
  probe.double();
  return memory[0] === 2;
}

const MEMORY_IS_SHARED = isShared();

/** A function that returns the row which the last call of `server`, a `NativeServer`, has written. */
function rowReader(server) {
  const row = server.row();
  if (MEMORY_IS_SHARED) return () => row;
  return () => {
    server.copyRow(row);
    return row;
  };
}

module.exports = { MEMORY_IS_SHARED, rowReader };
