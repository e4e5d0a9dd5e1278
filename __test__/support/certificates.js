'use strict';

// Certificates that openssl makes for a test run: an authority, and what it, or another one, has signed.

const { execFileSync } = require('child_process');
const { readFileSync, writeFileSync } = require('fs');
const path = require('path');
const { folderForTests } = require('./folder.js');

const folder = folderForTests('certificates');

const file = (name) => path.join(folder, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
let count = 0;

const KEYS = {
  'P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'P-521': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  RSA: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  Ed25519: ['-algorithm', 'ED25519'],
};

/**
 * A certificate and its key as PEM, and as files: `{ cert, key, certFile, keyFile, chain }`, where `chain` ends with
 * the issuer's.
 *
 * @param issuer who signs it; itself if there is none
 * @param options.names its subjectAltName, e.g. `['DNS:localhost', 'IP:127.0.0.1']`
 * @param options.days from now, or -1 for one that has expired
 */
function certificate(commonName, issuer, { names = [], isAuthority = false, algorithm = 'P-256', days = 30 } = {}) {
  count += 1;
  const [keyFile, requestFile, certFile, extensions] = ['key', 'csr', 'cert', 'ext'].map((kind) => `${count}.${kind}`);
  openssl('genpkey', ...KEYS[algorithm], '-out', keyFile);
  openssl('req', '-new', '-key', keyFile, '-subj', `/CN=${commonName}`, '-out', requestFile);
  const lines = [`basicConstraints=${isAuthority ? 'critical,CA:TRUE' : 'CA:FALSE'}`];
  if (names.length > 0) lines.push('subjectAltName=@names', '[names]', ...names.map(inSection));
  writeFileSync(file(extensions), lines.join('\n'));
  const signer = issuer === undefined ? ['-key', keyFile] : ['-CA', issuer.certFile, '-CAkey', issuer.keyFile];
  const request = ['-req', '-in', requestFile, '-set_serial', String(1000 + count), '-extfile', extensions];
  openssl(
    'x509',
    ...request,
    ...signer.map((arg) => (arg === '-key' ? '-signkey' : arg)),
    ...time(days),
    '-out',
    certFile,
  );
  const cert = readFileSync(file(certFile), 'utf8');
  const paths = { certFile: file(certFile), keyFile: file(keyFile) };
  return { cert, key: readFileSync(file(keyFile), 'utf8'), chain: cert + (issuer?.cert ?? ''), ...paths };
}

/** A name as a line of a section of openssl's, where it may have a comma. */
const inSection = (name, i) => name.replace(/^(\w+):/, `$1.${i}=`).replaceAll(',', '\\,');

/** One that has expired ended a day ago: openssl takes a negative number of days. */
const time = (days) => ['-days', String(days)];

/** What most tests need, made once for a file of tests. */
function certificates() {
  const ca = certificate('Test CA', undefined, { isAuthority: true });
  const server = certificate('localhost', ca, { names: ['DNS:localhost', 'IP:127.0.0.1', 'IP:::1'] });
  const client = certificate('w1', ca, { names: ['DNS:w1', 'URI:urn:worker:1'] });
  return { ca, server, client };
}

/** A certificate that nobody else has signed, for `server.test` and 127.0.0.1. */
const selfSigned = () => certificate('server.test', undefined, { names: ['DNS:server.test', 'IP:127.0.0.1'] });

module.exports = { certificate, certificates, openssl, selfSigned };
