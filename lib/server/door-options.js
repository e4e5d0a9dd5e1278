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
    throw new TypeError(`authenticate must be a function, got ${typeName(authenticate)}`);
  }
  if (onConflict !== 'replace' && onConflict !== 'reject' && typeof onConflict !== 'function') {
    throw wrongType('onConflict', "'replace', 'reject' or a function", onConflict);
  }
  return {
    authenticate,
    onConflict,
    allowedOrigins: allowedOrigins === undefined ? undefined : readTexts(allowedOrigins, 'allowedOrigins'),
    workerPath: workerPath === undefined ? undefined : readPaths(workerPath),
    trustProxy: trustProxy === undefined ? undefined : readNetworks(trustProxy),
  };
}

/** A list of one or more texts, none of them empty. */
function readTexts(value, name) {
  const texts = Array.isArray(value) ? Array.from(value) : [];
  if (texts.length === 0) throw wrongType(name, 'a list of one or more strings', value);
  const wrong = texts.findIndex((text) => typeof text !== 'string' || text === '');
  if (wrong !== -1) throw wrongType(`${name}[${wrong}]`, 'a string that is not empty', texts[wrong]);
  return texts.map((text) => text.toWellFormed());
}

/** One path or several. Another form would never be met. */
function readPaths(value) {
  const paths = typeof value === 'string' ? [value] : readTexts(value, 'workerPath');
  const wrong = paths.findIndex((path) => !path.startsWith('/') || /[?#\s]/.test(path));
  if (wrong === -1) return paths;
  const name = typeof value === 'string' ? 'workerPath' : `workerPath[${wrong}]`;
  throw wrongType(name, 'a path that begins with "/", without a query', paths[wrong]);
}

function readNetworks(value) {
  const networks = readTexts(value, 'trustProxy');
  const wrong = native.firstWrongNetwork(networks);
  if (wrong === null) return networks;
  throw wrongType(`trustProxy[${wrong}]`, 'an IP address or a CIDR range', networks[wrong]);
}

module.exports = { DOOR_OPTION_NAMES, readDoorOptions };
