'use strict';

const native = require('../native/addon.js');
const { wrongType } = require('./handlers.js');

/** Whether two strings hold the same UTF-8 bytes, in a time that doesn't depend on where they differ. */
function safeCompare(a, b) {
  // A secret that isn't a string is not shown.
  if (typeof a !== 'string') throw wrongType('a', 'a string', typeof a);
  if (typeof b !== 'string') throw wrongType('b', 'a string', typeof b);
  return native.safeCompare(a, b);
}

module.exports = { safeCompare };
