'use strict';

// `credentials.peerCertificate`: what the hooks learn of a worker's certificate.

const { X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { certificate, certificates } = require('../support/certificates');
const { onCleanup } = require('../support/cleanup');
const { startServer } = require('../support/server');
const { REFUSED, shakeHands } = require('../support/tls-client');
const { connectOver } = require('../support/tls-worker');

let made;
beforeAll(() => {
  made = certificates();
});

/** A server that asks for certificates, and the credentials that its hooks were called with. */
async function start({ tls = {}, ...options } = {}) {
  const { cert, key } = made.server;
  const asked = [];
  const started = await startServer({
    tls: { cert, key, ca: made.ca.cert, requestCert: true, ...tls },
    authenticate(credentials) {
      asked.push(credentials);
      return true;
    },
    ...options,
  });
  return { ...started, asked };
}

const pairOf = ({ chain, key }) => ({ ca: made.ca.cert, cert: chain, key });

test.each([
  [
    'names of every kind',
    ['DNS:w1', 'DNS:*.w.test', 'IP:10.0.0.1', 'IP:2001:db8::1', 'URI:urn:worker:1', 'email:a@b.c'],
  ],
  ['one name', ['DNS:w1']],
  ['none', []],
])('it has the members of the X509Certificate, with %s one by one', async (_, names) => {
  const { port, asked } = await start();
  const leaf = certificate('w1', made.ca, { names });
  await connectOver(port, 'w1', pairOf(leaf));
  const { subject, subjectAltName, fingerprint256, validTo, raw } = new X509Certificate(leaf.cert);
  const { peerCertificate } = asked[0];
  expect(peerCertificate).toEqual({
    subject,
    subjectAltNames: subjectAltName?.split(', ') ?? [],
    fingerprint256,
    validTo,
    raw,
  });
  expect(peerCertificate.subjectAltNames).toHaveLength(names.length);
  expect(Buffer.isBuffer(peerCertificate.raw)).toBe(true);
});

test('a name that looks like two is one', async () => {
  const { port, asked } = await start();
  await connectOver(port, 'w1', pairOf(certificate('evil', made.ca, { names: ['DNS:a, DNS:w1', 'DNS:w2'] })));
  const { subjectAltNames } = asked[0].peerCertificate;
  expect(subjectAltNames).toEqual([expect.stringMatching(/^DNS:"a.* DNS:w1"$/), 'DNS:w2']);
  expect(subjectAltNames).not.toContain('DNS:w1');
});

test('of a chain it is the first, and a connection that resumes a session has it, too', async () => {
  const { port, asked } = await start();
  const between = certificate('Between', made.ca, { isAuthority: true });
  const leaf = certificate('w2', between, { names: ['DNS:w2'] });
  await connectOver(port, 'w2', pairOf(leaf));
  const [session] = await once(await shakeHands(port, pairOf(leaf)), 'session');
  const { ws } = await connectOver(port, 'w2', { ...pairOf(leaf), session });
  expect(ws._socket.isSessionReused()).toBe(true);
  expect(asked.map(({ peerCertificate }) => peerCertificate.subjectAltNames)).toEqual([['DNS:w2'], ['DNS:w2']]);
});

test('onConflict has it as well', async () => {
  const onConflict = jest.fn(() => true);
  const { port } = await start({ onConflict, authenticate: undefined });
  for (let i = 0; i < 2; i += 1) await connectOver(port, 'w1', pairOf(made.client));
  expect(onConflict.mock.calls[0][1].peerCertificate.subjectAltNames).toEqual(['DNS:w1', 'URI:urn:worker:1']);
});

test('with rejectUnauthorized: false it is not there where none was shown, and one that is shown must be verified', async () => {
  const { port, asked } = await start({ tls: { rejectUnauthorized: false } });
  await connectOver(port, 'w', { ca: made.ca.cert });
  expect(asked[0]).not.toHaveProperty('peerCertificate');
  await connectOver(port, 'w1', pairOf(made.client));
  expect(asked[1].peerCertificate.subject).toBe('CN=w1');
  const stranger = certificate('w1', certificate('Another CA', undefined, { isAuthority: true }), {
    names: ['DNS:w1'],
  });
  const expired = certificate('w1', made.ca, { names: ['DNS:w1'], days: -1 });
  const alone = certificate('w1', undefined, { names: ['DNS:w1'] });
  for (const shown of [stranger, expired, alone]) {
    const ws = new WebSocket(`wss://localhost:${port}/`, { ...pairOf(shown), cert: shown.cert });
    onCleanup(() => ws.terminate());
    expect(await once(ws, 'error')).toMatchObject([REFUSED]);
  }
  expect(asked).toHaveLength(2);
});

test('it is not there where certificates are not asked for', async () => {
  const encrypted = await start({ tls: { requestCert: false } });
  await connectOver(encrypted.port, 'w1', pairOf(made.client));
  expect(encrypted.asked[0]).not.toHaveProperty('peerCertificate');
});
