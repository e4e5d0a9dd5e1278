'use strict';

// Every number, name and layout that the native side knows as well: `src/abi.rs` says what each is, and is the only
// place where one is written down. Enumerations have a member for each kind; lists are in the order in which their
// entries are numbered.

const { abi } = require('./addon.js');

const { tables, ...constants } = abi;

function frozen(value) {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** The limits that the server keeps and those that requests keep are one option. */
function withAllLimits({ defaults: { limits, requestLimits, ...defaults }, ...rest }) {
  return { ...rest, defaults: { ...defaults, limits: { ...limits, ...requestLimits } } };
}

module.exports = frozen({ ...constants, ...withAllLimits(tables()) });
