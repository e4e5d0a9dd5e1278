'use strict';

// Sockets that can't be asked whose they are, since this server stands between them and the peer.

const net = require('node:net');
const { constants } = require('node:os');
const { X509Certificate } = require('node:crypto');

const RESET = { code: 'ECONNRESET', syscall: 'read' };

/** Of a socket's two ends: what `net.Socket` has of them. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }) {
  const family = (address) => (net.isIPv6(address) ? 'IPv6' : 'IPv4');
  return {
    remoteAddress,
    remotePort,
    remoteFamily: family(remoteAddress),
    localAddress,
    localPort,
    localFamily: family(localAddress),
    address: () => ({ address: localAddress, family: family(localAddress), port: localPort }),
  };
}

/**
 * What Node's `tls.TLSSocket` reports of its peer. All is true already when the first request comes, so nothing waits
 * for `secure`.
 */
function securityOf({ protocol, serverName, hasAlpn }, certificates) {
  // Parsed when somebody asks: most don't.
  const chain = () => certificates.map((der) => new X509Certificate(der));
  return {
    encrypted: true,
    // One that is shown was verified.
    authorized: certificates.length > 0,
    alpnProtocol: hasAlpn ? 'http/1.1' : false,
    servername: serverName ?? false,
    getProtocol: () => protocol,
    getPeerX509Certificate: () => chain()[0],
    getPeerCertificate: (isDetailed = false) => peerCertificate(chain(), isDetailed),
  };
}

/** As Node's `getPeerCertificate`: an empty object without one; in detail each has its issuer's, and a root its own. */
function peerCertificate(chain, isDetailed) {
  if (chain.length === 0) return {};
  if (!isDetailed) return chain[0].toLegacyObject();
  const objects = chain.map((certificate) => certificate.toLegacyObject());
  for (const [i, object] of objects.entries()) {
    if (i + 1 < objects.length) object.issuerCertificate = objects[i + 1];
    else if (chain[i].checkIssued(chain[i])) object.issuerCertificate = object;
  }
  return objects[0];
}

/** Shows on a socket whose it is, in the native side's words; `certificates` are the peer's. */
function showPeer(socket, { security, ...addresses }, certificates) {
  const members = { ...endsOf(addresses), ...(security !== null && securityOf(security, certificates)) };
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(socket, name, { value, configurable: true, writable: true });
  }
}

/**
 * Has a socket of a pair fail as one of TCP does when its peer breaks off, behind all that had come: a pair knows no
 * reset, and only ends.
 *
 * @param number the socket's, by which the native side knows it
 */
function noticeLoss(socket, number, native) {
  const { push } = socket;
  // What comes, and at last `null`, is pushed, however the socket is read.
  socket.push = function pushOrFail(chunk, encoding) {
    if (chunk !== null || !native.isPeerLost(number)) return push.call(this, chunk, encoding);
    this.destroy(Object.assign(new Error('read ECONNRESET'), { errno: -constants.errno.ECONNRESET, ...RESET }));
    return false;
  };
  socket.once('close', () => native.forgetPeer(number));
}

module.exports = { noticeLoss, showPeer };
