'use strict';

// Whether a request comes from a program on the server's own machine.

const { isIP } = require('node:net');

/**
 * A peer on this machine that asks for this machine, with no proxy in between. A page elsewhere that had its name resolve
 * to this machine still has that name in `Host`.
 *
 * @param {import('node:http').IncomingMessage} req
 */
function isThisMachine(req) {
  const peer = req.socket.remoteAddress ?? '';
  return isLoopback(peer) && req.headers['x-forwarded-for'] === undefined && isLoopback(hostnameOf(req.headers.host));
}

/** The name or address in a header `Host`, without brackets and port; '' if there is none. */
function hostnameOf(header = '') {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header) ?? [];
  return (bracketed ?? plain ?? '').toLowerCase();
}

/** Whether a name or an address is this machine's own. */
function isLoopback(host) {
  const address = host.replace(/^::ffff:/i, '');
  return host === 'localhost' || host === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}

module.exports = { isLoopback, isThisMachine };
