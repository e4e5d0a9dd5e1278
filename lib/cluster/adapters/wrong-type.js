'use strict';

const { inspect } = require('node:util');

/** A TypeError for a caller's mistake: which argument, what it should be, what came. */
function wrongType(name, expected, value) {
  // Connections hold credentials: only what kind of thing came is shown.
  const shown = typeof value === 'object' && value !== null ? 'another object' : inspect(value);
  return new TypeError(`${name} must be ${expected}, got ${shown}`);
}

module.exports = { wrongType };
