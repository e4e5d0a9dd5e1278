'use strict';

// The option `tls`, and setSecureContext(): what they take, and what is said of what they don't.

const { inspect } = require('node:util');
const { WorkerServer } = require('../support/package');
const { certificate, certificates, openssl } = require('../support/certificates');
const { warningsOfTheCode } = require('../support/warnings');

let ca;
let pair;
let server;

beforeAll(() => {
  const made = certificates();
  ca = made.ca.cert;
  pair = { cert: made.server.cert, key: made.server.key };
  server = new WorkerServer({ port: 0, tls: pair });
});

const other = () => certificate('other');
/** PEM of the right form that holds no certificate. */
const hollow = (label) => `-----BEGIN ${label}-----\nAAAAAAAA\n-----END ${label}-----\n`;

const BAD = [
  ['null', () => null, /^options\.tls must be an object, got null$/],
  ['a string', () => pair.cert, /^options\.tls must be an object, got string$/],
  ['a list', () => [pair], /^options\.tls must be an object/],
  [
    'no cert',
    () => ({ key: pair.key }),
    /^options\.tls\.cert must be a string or a Buffer that holds PEM, got undefined$/,
  ],
  ['no key', () => ({ cert: pair.cert }), /^options\.tls\.key must be a string or a Buffer/],
  ['a cert that is null', () => ({ ...pair, cert: null }), /^options\.tls\.cert /],
  ['a cert that is a number', () => ({ ...pair, cert: 1 }), /^options\.tls\.cert /],
  ['an empty cert', () => ({ ...pair, cert: '' }), /^options\.tls\.cert must be a certificate chain in PEM$/],
  [
    'a cert that is no PEM',
    () => ({ ...pair, cert: 'secret words' }),
    /^options\.tls\.cert must be a certificate chain/,
  ],
  ['a cert that is a key', () => ({ ...pair, cert: pair.key }), /^options\.tls\.cert must be a certificate chain/],
  ['a cert of nothing', () => ({ ...pair, cert: hollow('CERTIFICATE') }), /^options\.tls\.cert /],
  ['an empty key', () => ({ ...pair, key: Buffer.alloc(0) }), /^options\.tls\.key must be a private key in PEM/],
  ['a key that is a cert', () => ({ ...pair, key: pair.cert }), /^options\.tls\.key must be a private key in PEM/],
  ['a key of nothing', () => ({ ...pair, key: hollow('PRIVATE KEY') }), /^options\.tls\.key must be /],
  [
    'the key of another',
    () => ({ ...pair, key: other().key }),
    /^options\.tls\.key must be the key of the certificate$/,
  ],
  ['an encrypted key', () => ({ ...pair, key: encrypted() }), /^options\.tls\.key must be .* not encrypted$/],
  [
    'an encrypted key of the older form',
    () => ({ ...pair, key: encrypted('-traditional') }),
    /^options\.tls\.key must be .* not encrypted$/,
  ],
  ['a key of P-521', () => unusual('P-521'), /^options\.tls\.key must be an RSA key of .*P-256/],
  ['a ca that is no PEM', () => ({ ...pair, ca: 'secret words' }), /^options\.tls\.ca must be certificates in PEM$/],
  ['a ca of nothing', () => ({ ...pair, ca: hollow('CERTIFICATE') }), /^options\.tls\.ca /],
  ['a ca that is null', () => ({ ...pair, ca: null }), /^options\.tls\.ca /],
  [
    'requestCert without ca',
    () => ({ ...pair, requestCert: true }),
    /^options\.tls\.ca must be there where options\.tls\.requestCert is true$/,
  ],
  ['requestCert null', () => ({ ...pair, requestCert: null }), /^options\.tls\.requestCert must be true or false/],
  ['requestCert 1', () => ({ ...pair, ca, requestCert: 1 }), /^options\.tls\.requestCert must be true or false/],
  ['rejectUnauthorized 0', () => ({ ...pair, rejectUnauthorized: 0 }), /^options\.tls\.rejectUnauthorized must be/],
  [
    'an older version',
    () => ({ ...pair, minVersion: 'TLSv1.1' }),
    /^options\.tls\.minVersion must be 'TLSv1\.2' or 'TLSv1\.3'/,
  ],
  ['a version that is null', () => ({ ...pair, minVersion: null }), /^options\.tls\.minVersion must be/],
  ['sni null', () => ({ ...pair, sni: null }), /^options\.tls\.sni must be an object/],
  ['sni of a list', () => ({ ...pair, sni: [pair] }), /^options\.tls\.sni must be an object/],
  [
    'sni without a pair',
    () => ({ ...pair, sni: { 'a.test': null } }),
    /^options\.tls\.sni\["a\.test"\] must be an object with cert and key/,
  ],
  [
    'sni without a key',
    () => ({ ...pair, sni: { 'a.test': { cert: pair.cert } } }),
    /^options\.tls\.sni\["a\.test"\]\.key /,
  ],
  [
    'sni with a bad cert',
    () => ({ ...pair, sni: { 'a.test': { ...pair, cert: 'x' } } }),
    /^options\.tls\.sni\["a\.test"\]\.cert /,
  ],
  [
    'sni for no name',
    () => ({ ...pair, sni: { 'no name': pair } }),
    /^options\.tls\.sni\["no name"\] must be named by a host name/,
  ],
  [
    'sni with a star inside',
    () => ({ ...pair, sni: { 'a.*.test': pair } }),
    /^options\.tls\.sni\["a\.\*\.test"\] must be named/,
  ],
];

function encrypted(...form) {
  const { keyFile } = certificate('encrypted');
  return openssl('pkey', '-in', keyFile, '-aes256', '-passout', 'pass:secret', ...form).toString();
}

function unusual(algorithm) {
  const { cert, key } = certificate('unusual', undefined, { algorithm });
  return { cert, key };
}

describe.each(BAD)('with %s', (_, make, message) => {
  test('a TypeError names it, and holds nothing of it', () => {
    const tls = make();
    const attempts = [() => new WorkerServer({ port: 0, tls })];
    attempts.push(() => server.setSecureContext(tls));
    for (const attempt of attempts) {
      let error;
      try {
        attempt();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(message);
      expect(inspect(error)).not.toMatch(/secret|BEGIN|AAAA/);
    }
  });
});

test.each(['P-256', 'P-384', 'RSA', 'Ed25519'])('a key of %s is taken', (algorithm) => {
  expect(() => new WorkerServer({ port: 0, tls: unusual(algorithm) })).not.toThrow();
});

test('keys are taken in the older forms too, and Buffers and Uint8Arrays as strings are', () => {
  const rsa = certificate('rsa', undefined, { algorithm: 'RSA' });
  const ec = certificate('ec');
  const pkcs1 = openssl('rsa', '-traditional', '-in', rsa.keyFile);
  const sec1 = openssl('ec', '-in', ec.keyFile);
  expect(String(pkcs1)).toMatch(/BEGIN RSA PRIVATE KEY/);
  expect(String(sec1)).toMatch(/BEGIN EC PRIVATE KEY/);
  for (const tls of [
    { cert: Buffer.from(rsa.cert), key: pkcs1 },
    { cert: new Uint8Array(Buffer.from(ec.cert)), key: new Uint8Array(sec1) },
  ]) {
    expect(() => new WorkerServer({ port: 0, tls })).not.toThrow();
  }
});

test('a certificate of X.509 version 1 is taken, since clients may take it', () => {
  const { keyFile } = certificate('old');
  openssl('req', '-new', '-key', keyFile, '-subj', '/CN=old', '-out', 'old.csr');
  openssl('x509', '-req', '-in', 'old.csr', '-signkey', keyFile, '-out', 'old.pem');
  expect(String(openssl('x509', '-in', 'old.pem', '-noout', '-text'))).toMatch(/Version: 1/);
  const cert = openssl('x509', '-in', 'old.pem');
  const key = openssl('pkey', '-in', keyFile);
  expect(() => new WorkerServer({ port: 0, tls: { cert, key } })).not.toThrow();
  expect(() => new WorkerServer({ port: 0, tls: { cert, key: other().key } })).toThrow(/^options\.tls\./);
});

describe('members that are not known', () => {
  const SECRET = 'hush-7f3a9c';
  let warnings;
  beforeEach(() => {
    warnings = warningsOfTheCode();
  });

  test.each([
    ['a misspelt one', () => ({ requestCer: SECRET }), "'tls.requestCer' (did you mean tls.requestCert?)"],
    ["one that only Node's tls has", () => ({ passphrase: SECRET }), "'tls.passphrase'"],
    [
      'one of a certificate in sni',
      () => ({ sni: { 'a.test': { ...pair, keys: SECRET } } }),
      `'tls.sni["a.test"].keys' (did you mean tls.sni["a.test"].key?)`,
    ],
    [
      'two',
      () => ({ ciphers: SECRET, sni: { 'a.test': { ...pair, ca: SECRET } } }),
      `'tls.ciphers', 'tls.sni["a.test"].ca'`,
    ],
  ])('%s: a process warning names it, and nothing of its value', (_, more, shown) => {
    const expected = [['WORKER_SERVER_UNKNOWN_OPTION', `These options are not known, and are ignored: ${shown}`]];
    const warned = new WorkerServer({ port: 0, tls: { ...pair, ...more() } });
    expect(warnings).toEqual(expected);
    warned.setSecureContext({ ...pair, ...more() });
    expect(warnings).toEqual([...expected, ...expected]);
  });

  test('there is one warning for a server, no warning of material that is refused, and none of all that there is', () => {
    new WorkerServer({ port: 0, colour: 1, tls: { ...pair, ciphers: SECRET } });
    expect(warnings).toEqual([['WORKER_SERVER_UNKNOWN_OPTION', expect.stringMatching(/'colour', 'tls\.ciphers'$/)]]);
    expect(() => server.setSecureContext({ ...pair, key: other().key, ciphers: SECRET })).toThrow(TypeError);
    const all = { ca, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3', sni: { 'a.test': pair } };
    server.setSecureContext({ ...pair, ...all });
    expect(warnings).toHaveLength(1);
  });
});

test('setSecureContext throws on a server without tls, and with nothing', () => {
  const plain = new WorkerServer({ port: 0 });
  expect(() => plain.setSecureContext(pair)).toThrow(
    /setSecureContext\(\) needs a server that was made with the option tls/,
  );
  expect(() => server.setSecureContext()).toThrow(TypeError);
  expect(() => server.setSecureContext()).toThrow(/^options\.tls must be an object, got undefined$/);
});

test('nothing of the material is in what the server shows of itself', () => {
  const shown = inspect(server, { depth: Infinity, showHidden: true });
  expect(shown).not.toMatch(/BEGIN|PRIVATE/);
  expect(JSON.stringify(server)).not.toMatch(/BEGIN|PRIVATE/);
});
