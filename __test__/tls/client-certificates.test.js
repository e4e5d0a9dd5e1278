'use strict';

// Certificates that clients show: who is let in, and what of them is reported.

const { X509Certificate } = require('node:crypto');
const https = require('node:https');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { certificate, certificates } = require('../support/certificates');
const { onCleanup } = require('../support/cleanup');
const { readAll } = require('../support/http');
const { startServer } = require('../support/server');
const { REFUSED, refusal, shakeHands } = require('../support/tls-client');

let made;
beforeAll(() => {
  made = certificates();
});

/** A server that asks for certificates, and what its handler saw. */
async function start(tls = {}) {
  const { cert, key } = made.server;
  const seen = [];
  const started = await startServer({ tls: { cert, key, ca: made.ca.cert, requestCert: true, ...tls } }, (server) =>
    server.addHttpHandler((req, res) => {
      const { socket } = req;
      seen.push({
        authorized: socket.authorized,
        certificate: socket.getPeerCertificate(),
        detailed: socket.getPeerCertificate(true),
        x509: socket.getPeerX509Certificate(),
      });
      res.end('in');
      return true;
    }),
  );
  return { ...started, seen };
}

async function get(port, options = {}) {
  const req = https.get({ port, host: 'localhost', agent: false, ca: made.ca.cert, ...options });
  const [res] = await once(req, 'response');
  return String(await readAll(res));
}

const pairOf = ({ cert, key }) => ({ cert, key });
const stranger = () =>
  certificate('w1', certificate('Another CA', undefined, { isAuthority: true }), { names: ['DNS:w1'] });

test('a client whose certificate is signed by ca comes in, one without or with another is refused', async () => {
  const { port, seen } = await start();
  expect(await get(port, pairOf(made.client))).toBe('in');
  expect(seen).toHaveLength(1);
  const ca = made.ca.cert;
  expect(await refusal(port, { ca })).toMatchObject({ code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' });
  expect(await refusal(port, { ca, maxVersion: 'TLSv1.2' })).toMatchObject(REFUSED);
  expect(await refusal(port, { ca, ...pairOf(stranger()) })).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' });
  const expired = certificate('w1', made.ca, { names: ['DNS:w1'], days: -1 });
  expect(await refusal(port, { ca, ...pairOf(expired) })).toMatchObject({
    code: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  });
  expect(seen).toHaveLength(1);
});

test('rejectUnauthorized: false lets those in that show none; one that is shown must be verified all the same', async () => {
  const { port, seen } = await start({ rejectUnauthorized: false });
  expect(await get(port)).toBe('in');
  expect(await get(port, pairOf(made.client))).toBe('in');
  expect(seen.map(({ authorized, certificate: { subject } }) => [authorized, subject?.CN])).toEqual([
    [false, undefined],
    [true, 'w1'],
  ]);
  expect([seen[0].certificate, seen[0].detailed, seen[0].x509]).toEqual([{}, {}, undefined]);
  expect(await refusal(port, { ca: made.ca.cert, ...pairOf(stranger()) })).toMatchObject(REFUSED);
});

test('without requestCert a client is not asked', async () => {
  const { port, seen } = await start({ requestCert: undefined });
  expect(await get(port, pairOf(made.client))).toBe('in');
  expect([seen[0].authorized, seen[0].certificate]).toEqual([false, {}]);
});

test("getPeerCertificate() returns what Node's own server does", async () => {
  const { port, seen } = await start();
  const between = certificate('Between', made.ca, { isAuthority: true });
  const leaf = certificate('w2', between, { names: ['DNS:w2', 'URI:urn:w2', 'IP:10.0.0.1'] });
  const client = { cert: leaf.chain, key: leaf.key };
  const { cert, key } = made.server;
  const own = https.createServer({ cert, key, ca: made.ca.cert, requestCert: true }, (req, res) => {
    own.seen = [req.socket.getPeerCertificate(), req.socket.getPeerCertificate(true)];
    res.end('in');
  });
  onCleanup(() => own.close());
  own.listen(0);
  await once(own, 'listening');
  for (const to of [port, own.address().port]) expect(await get(to, client)).toBe('in');
  const [plain, detailed] = own.seen;
  const shape = ({ issuerCertificate: _issuer, ...rest }) => rest;
  expect(shape(seen[0].certificate)).toEqual(shape(plain));
  expect(shape(seen[0].detailed)).toEqual(shape(detailed));
  expect(seen[0].detailed.issuerCertificate.subject.CN).toBe('Between');
  expect(seen[0].x509).toBeInstanceOf(X509Certificate);
  expect(seen[0].x509.subject).toBe('CN=w2');
});

test('a resumed session still tells the certificate', async () => {
  const { port, seen } = await start();
  const options = { ca: made.ca.cert, ...pairOf(made.client) };
  const first = await shakeHands(port, options);
  const session = once(first, 'session');
  first.end('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  const [ticket] = await session;
  const second = await shakeHands(port, { ...options, session: ticket });
  expect(second.isSessionReused()).toBe(true);
  second.end('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  await once(second.resume(), 'close');
  expect(seen.map(({ certificate: { subject } }) => subject.CN)).toEqual(['w1', 'w1']);
});

test('workers and endpoints are asked as well', async () => {
  const { server, port } = await start();
  server.addWebSocketEndpoint('/e', (ws, req) => ws.send(req.socket.getPeerCertificate().subject.CN));
  const options = { ca: made.ca.cert, ...pairOf(made.client) };
  for (const path of ['/', '/e']) {
    const out = new WebSocket(`wss://localhost:${port}${path}`, { ca: made.ca.cert });
    const [error] = await once(out, 'error');
    expect(error).toMatchObject(REFUSED);
  }
  const endpoint = new WebSocket(`wss://localhost:${port}/e`, options);
  const [message] = await once(endpoint, 'message');
  expect(String(message)).toBe('w1');
  const worker = new WebSocket(`wss://localhost:${port}/`, options);
  await once(worker, 'open');
  for (const ws of [endpoint, worker]) ws.terminate();
});

test('who was let in by an authority is refused once it is taken out of ca', async () => {
  const { server, port } = await start();
  const options = { ca: made.ca.cert, ...pairOf(made.client) };
  const first = await shakeHands(port, options);
  const [ticket] = await once(first, 'session');
  const other = certificate('Another CA', undefined, { isAuthority: true });
  server.setSecureContext({ ...pairOf(made.server), ca: other.cert, requestCert: true });
  expect(await refusal(port, options)).toMatchObject(REFUSED);
  expect(await refusal(port, { ...options, session: ticket })).toMatchObject(REFUSED);
  server.setSecureContext({ ...pairOf(made.server), ca: other.cert + made.ca.cert, requestCert: true });
  expect(await get(port, pairOf(made.client))).toBe('in');
});
