'use strict';

const { X509Certificate } = require('node:crypto');

/**
 * What a worker's certificate says, which was verified in the handshake.
 *
 * @param {Buffer} der The certificate
 */
function readPeerCertificate(der) {
  const { subject, subjectAltName, fingerprint256, validTo, raw } = new X509Certificate(der);
  return { subject, subjectAltNames: namesIn(subjectAltName), fingerprint256, validTo, raw };
}

/** The names one by one. In one that has a comma, Node has put quotes around what has it. */
function namesIn(subjectAltName = '') {
  const names = subjectAltName.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return names.map((name) => name.trim());
}

module.exports = { namesIn, readPeerCertificate };
