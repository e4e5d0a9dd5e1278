'use strict';

/**
 * The tokens of which a worker must present one; undefined if none is asked for. `name` is what the caller calls the
 * option.
 *
 * @throws {TypeError} that says nothing about the value, which may hold a secret
 */
function readTokens(authToken, name) {
  if (authToken === undefined) return undefined;
  if (typeof authToken === 'string') return [authToken.toWellFormed()];
  // In a list an empty token is a mistake, such as an unset variable, that would let workers in without any. A token
  // that is not in a list may be empty, as in 1.0.x.
  const tokens = Array.isArray(authToken) ? Array.from(authToken) : [];
  if (tokens.length === 0 || tokens.some((token) => typeof token !== 'string' || token === '')) {
    throw new TypeError(`${name} must be a string, or a list of one or more strings, none of them empty`);
  }
  return tokens.map((token) => token.toWellFormed());
}

/**
 * The same of what takes their place while the server runs: null asks for none, and an empty list lets nobody in.
 *
 * @throws {TypeError} that says nothing about the value
 */
function readNewTokens(token) {
  if (token === null) return undefined;
  if (Array.isArray(token) && token.length === 0) return [];
  try {
    if (token !== undefined) return readTokens(token, 'token');
  } catch {
    // Said below, with what else it may be.
  }
  throw new TypeError('token must be a string, a list of strings, none of them empty, or null');
}

const isEmptyToken = (tokens) => tokens.length === 1 && tokens[0] === '';

/** The value of the option is not in the warning, nor is anything else that the caller passed. */
function warnOfEmptyToken(tokens, name) {
  if (tokens === undefined || !isEmptyToken(tokens)) return;
  process.emitWarning(`${name} is an empty string: workers are let in without a token`, {
    code: 'WORKER_SERVER_EMPTY_TOKEN',
  });
}

module.exports = { readNewTokens, readTokens, warnOfEmptyToken };
