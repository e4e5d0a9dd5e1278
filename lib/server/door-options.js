'use strict';

const native = require('../native/addon.js');
const { typeName, wrongType } = require('../workers/handlers.js');

const DOOR_OPTION_NAMES = ['authenticate', 'onConflict', 'allowedOrigins', 'workerPath', 'trustProxy'];

/**
 * Checks the options that say who may come in, beside the tokens.
 *
 * @throws {TypeError} that names the option, what it must be and what it was
 */
function readDoorOptions({ authenticate, onConflict = 'replace', allowedOrigins, workerPath, trustProxy }) {
  // Not what came instead: it may be a token.
  if (authenticate !== undefined && typeof authenticate !== 'function') {
    throw new TypeError(`options.authenticate must be a function, got ${typeName(authenticate)}`);
  }
  if (onConflict !== 'replace' && onConflict !== 'reject' && typeof onConflict !== 'function') {
    throw wrongType('options.onConflict', "'replace', 'reject' or a function", onConflict);
  }
  return {
    authenticate,
    onConflict,
    allowedOrigins: allowedOrigins === undefined ? undefined : readTexts(allowedOrigins, 'options.allowedOrigins'),
    workerPath: workerPath === undefined ? undefined : readPaths(workerPath),
    trustProxy: trustProxy === undefined ? undefined : readNetworks(trustProxy),
  };
}

/** A list of texts, none of them empty. The list itself may be: no page, no proxy. */
function readTexts(value, name) {
  if (!Array.isArray(value)) throw wrongType(name, 'a list of strings', value);
  const texts = Array.from(value);
  const wrong = texts.findIndex((text) => typeof text !== 'string' || text === '');
  if (wrong !== -1) throw wrongType(`${name}[${wrong}]`, 'a string that is not empty', texts[wrong]);
  return texts.map((text) => text.toWellFormed());
}

/** One path or several. Another form would never be met, and without any no worker could connect. */
function readPaths(value) {
  if (typeof value !== 'string' && !(Array.isArray(value) && value.length > 0)) {
    throw wrongType('options.workerPath', 'a string, or a list of one or more strings', value);
  }
  const paths = typeof value === 'string' ? [value] : readTexts(value, 'options.workerPath');
  const wrong = paths.findIndex((path) => !/^\/[!-~]*$/.test(path) || /[?#]/.test(path));
  if (wrong === -1) return paths;
  const name = typeof value === 'string' ? 'options.workerPath' : `options.workerPath[${wrong}]`;
  throw wrongType(name, 'a path that begins with "/", encoded as in a URL, without a query', paths[wrong]);
}

function readNetworks(value) {
  const networks = readTexts(value, 'options.trustProxy');
  const wrong = native.firstWrongNetwork(networks);
  if (wrong === null) return networks;
  throw wrongType(`options.trustProxy[${wrong}]`, 'an IP address or a CIDR range', networks[wrong]);
}

module.exports = { DOOR_OPTION_NAMES, readDoorOptions };
