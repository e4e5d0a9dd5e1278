'use strict';

// The option `tls`: what is checked here, and what the native side makes of it.

const { types } = require('node:util');
const native = require('../native/addon.js');
const { defaults, tlsVersions } = require('../native/abi.js');
const { typeName, wrongType } = require('../workers/handlers.js');

const { tls: DEFAULTS } = defaults;

/** The members of `options.tls`, and of each member of its `sni`. */
const TLS_NAMES = ['cert', 'key', 'ca', 'requestCert', 'rejectUnauthorized', 'minVersion', 'sni'];
const PAIR_NAMES = ['cert', 'key'];

/**
 * What handshakes go by, `context`: undefined if there is no TLS. `parts` is what `warnOfUnknown` is to look at, `[object, names,
 * path]` each.
 *
 * @throws {TypeError} that names the member of `options.tls` that is wrong, and holds no material
 */
function readSecureContext(tls) {
  if (tls === undefined) return { context: undefined, parts: [] };
  if (typeof tls !== 'object' || tls === null || Array.isArray(tls)) throw wrongMaterial('', 'an object', tls);
  const { requestCert = DEFAULTS.requestCert, rejectUnauthorized = DEFAULTS.rejectUnauthorized } = tls;
  const { minVersion = DEFAULTS.minVersion, ca } = tls;
  const names = readNames(tls.sni);
  const material = {
    ...readPair(tls, ''),
    ca: ca === undefined ? undefined : readPem(ca, '.ca'),
    requestCert: readBoolean(requestCert, '.requestCert'),
    rejectUnauthorized: readBoolean(rejectUnauthorized, '.rejectUnauthorized'),
    minVersion: tlsVersions.indexOf(minVersion),
    sni: names.map(({ name, cert, key }) => ({ name, cert, key })),
  };
  if (material.minVersion < 0) {
    throw wrongType('options.tls.minVersion', tlsVersions.map((version) => `'${version}'`).join(' or '), minVersion);
  }
  if (material.requestCert && material.ca === undefined) {
    throw new TypeError('options.tls.ca must be there where options.tls.requestCert is true');
  }
  const parts = [[tls, TLS_NAMES, 'tls.'], ...names.map(({ pair, path }) => [pair, PAIR_NAMES, `tls${path}.`])];
  try {
    return { context: new native.NativeSecureContext(material), parts };
  } catch (error) {
    throw new TypeError(`options.tls.${error.code} ${error.message}`, { cause: error });
  }
}

function readPair({ cert, key }, path) {
  return { cert: readPem(cert, `${path}.cert`), key: readPem(key, `${path}.key`) };
}

function readPem(value, path) {
  if (typeof value === 'string') return Buffer.from(value);
  if (!types.isUint8Array(value)) throw wrongMaterial(path, 'a string or a Buffer that holds PEM', value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function readBoolean(value, path) {
  if (typeof value !== 'boolean') throw wrongType(`options.tls${path}`, 'true or false', value);
  return value;
}

function readNames(sni) {
  if (sni === undefined) return [];
  if (typeof sni !== 'object' || sni === null || Array.isArray(sni)) {
    throw wrongMaterial('.sni', 'an object with a member for each host name', sni);
  }
  return Object.entries(sni).map(([name, pair]) => {
    const path = `.sni[${JSON.stringify(name)}]`;
    if (typeof pair !== 'object' || pair === null) throw wrongMaterial(path, 'an object with cert and key', pair);
    return { name, pair, path, ...readPair(pair, path) };
  });
}

/** Only what kind of value it is: it may be a key. */
function wrongMaterial(path, expected, value) {
  return new TypeError(`options.tls${path} must be ${expected}, got ${typeName(value)}`);
}

module.exports = { readSecureContext };
