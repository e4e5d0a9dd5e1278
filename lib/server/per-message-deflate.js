'use strict';

const zlib = require('node:zlib');

const { wrongType } = require('../workers/handlers.js');

const WINDOW_BITS = 'a whole number from 8 to 15';
const isWindowBits = (value) => Number.isInteger(value) && value >= 8 && value <= 15;
const isSwitch = (value) => typeof value === 'boolean';
const isCount = (value) => typeof value === 'number' && value >= 0;
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The members of `ws`'s option that mean something to a server: what each must be. */
const MEMBERS = {
  serverNoContextTakeover: ['true or false', isSwitch],
  clientNoContextTakeover: ['true or false', isSwitch],
  serverMaxWindowBits: [WINDOW_BITS, isWindowBits],
  clientMaxWindowBits: [`true, false or ${WINDOW_BITS}`, (value) => isSwitch(value) || isWindowBits(value)],
  threshold: ['a number that is not negative', isCount],
  concurrencyLimit: ['a number that is not negative', isCount],
  zlibDeflateOptions: ['an object', isObject],
  zlibInflateOptions: ['an object', isObject],
};

/**
 * Reads the option `perMessageDeflate` of an endpoint, false if there is none. `ws` looks at most of it only when a
 * peer sends or is sent something, and what is wrong then takes the process down.
 *
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readPerMessageDeflate(options) {
  if (options === undefined || options === null) return false;
  if (!isObject(options)) throw wrongType('options', 'an object', options);
  const value = options.perMessageDeflate ?? false;
  if (isSwitch(value)) return value;
  if (!isObject(value)) throw wrongType('perMessageDeflate', 'true, false or an object', value);
  const read = {};
  for (const [name, [expected, isRight]] of Object.entries(MEMBERS)) {
    const member = value[name];
    if (member === undefined || member === null) continue;
    if (!isRight(member)) throw wrongType(`perMessageDeflate.${name}`, expected, member);
    read[name] = isObject(member) ? { ...member } : member;
  }
  check('zlibDeflateOptions', zlib.createDeflateRaw, read);
  check('zlibInflateOptions', zlib.createInflateRaw, read);
  return read;
}

/** What zlib takes, it alone knows. */
function check(name, create, read) {
  try {
    create(read[name]).close();
  } catch (error) {
    throw new TypeError(`perMessageDeflate.${name} must be options of node:zlib: ${error.message}`, { cause: error });
  }
}

module.exports = { readPerMessageDeflate };
