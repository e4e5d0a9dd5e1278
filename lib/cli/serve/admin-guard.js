'use strict';

// Who may see the status page and the metrics.

const { safeCompare } = require('../../../index.js');
const { isThisMachine } = require('../../http/this-machine.js');

/**
 * @param {object} options
 * @param {string} [options.key] the admin key; undefined: there is none
 * @param {boolean} options.isOpen without a key, whether all may in, or only this machine
 * @returns {(req: import('node:http').IncomingMessage) => boolean}
 */
function adminGuard({ key, isOpen }) {
  if (key === undefined) return isOpen ? () => true : isThisMachine;
  return (req) => {
    const given = credentialOf(req.headers.authorization);
    return given !== undefined && safeCompare(given, key);
  };
}

/** The Bearer token, or the password of Basic, with any user name. */
function credentialOf(header = '') {
  const [, scheme, value] = /^(\S+) +(\S+) *$/.exec(header) ?? [];
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString();
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

/** What a path needs the guard for. */
const isGuarded = (path) => path === '/metrics' || /^\/status(?:[./]|$)/.test(path);

/** Answers what the guard does not let in. */
function guardHandler(allows, hasKey) {
  return (req, res) => {
    if (!isGuarded(req.url.split('?', 1)[0]) || allows(req)) return false;
    const ask = hasKey ? { 'www-authenticate': 'Basic realm="worker-server", charset="UTF-8"' } : {};
    res.writeHead(hasKey ? 401 : 403, { 'content-type': 'application/json', 'cache-control': 'no-store', ...ask });
    res.end(`${JSON.stringify({ error: hasKey ? 'The admin key is missing or wrong' : 'Only for this machine' })}\n`);
    return true;
  };
}

module.exports = { adminGuard, guardHandler };
