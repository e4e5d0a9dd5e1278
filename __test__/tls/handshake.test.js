'use strict';

// Handshakes: what is negotiated, which certificate is shown, what is refused, and how long one may take.

const { once } = require('node:events');
const net = require('node:net');
const { certificate, certificates } = require('../support/certificates');
const { request, answering } = require('../support/http');
const { startServer } = require('../support/server');
const { shakeHands, refusal, sClient } = require('../support/tls-client');
const { RawConnection } = require('../support/raw');

let made;
beforeAll(() => {
  made = certificates();
});

/** A server with a certificate of the authority. */
function start(tls = {}, options = {}) {
  const { cert, key } = made.server;
  return startServer({ tls: { cert, key, ...tls }, ...options }, (server) => server.addHttpHandler(answering('fine')));
}

async function plainly(port, bytes) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const raw = new RawConnection(socket);
  if (bytes !== undefined) raw.write(bytes);
  return raw;
}

test.each(['TLSv1.2', 'TLSv1.3'])('%s is spoken, and its certificate verified', async (version) => {
  const { port } = await start();
  const socket = await shakeHands(port, { ca: made.ca.cert, minVersion: version, maxVersion: version });
  expect([socket.authorized, socket.getProtocol(), socket.alpnProtocol]).toEqual([true, version, false]);
});

test('http/1.1 is negotiated where a client offers it, and a client that does not is refused', async () => {
  const { port } = await start();
  const ca = made.ca.cert;
  const socket = await shakeHands(port, { ca, ALPNProtocols: ['h2', 'http/1.1'] });
  expect(socket.alpnProtocol).toBe('http/1.1');
  expect(await refusal(port, { ca, ALPNProtocols: ['h2'] })).toMatchObject({
    code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  });
});

test('the oldest version is the one that was asked for', async () => {
  const { port } = await start({ minVersion: 'TLSv1.3' });
  expect(await refusal(port, { ca: made.ca.cert, maxVersion: 'TLSv1.2' })).toMatchObject({
    code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  });
  const socket = await shakeHands(port, { ca: made.ca.cert });
  expect(socket.getProtocol()).toBe('TLSv1.3');
});

// At its level 0 OpenSSL would speak all of these.
const WEAK = ['-cipher', 'ALL:COMPLEMENTOFALL:@SECLEVEL=0'];

test.each(['-ssl3', '-tls1', '-tls1_1'])('%s is refused', async (version) => {
  const { port } = await start();
  const { code, text } = await sClient(port, [version, ...WEAK]);
  expect([code === 0, /Cipher is (?!\(NONE\))/.test(text)]).toEqual([false, false]);
});

test.each([
  'AES128-SHA',
  'AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA384',
  'DHE-RSA-AES128-GCM-SHA256',
  'ADH-AES128-SHA256',
  'NULL-SHA',
  'ECDHE-ECDSA-NULL-SHA',
  'ECDHE-ECDSA-CAMELLIA128-SHA256',
  'ECDHE-ECDSA-AES128-CCM',
])('the cipher suite %s is refused', async (suite) => {
  const { port } = await start();
  const { text } = await sClient(port, ['-tls1_2', '-cipher', `${suite}:@SECLEVEL=0`]);
  expect(text).toMatch(/handshake failure|alert number 40/);
});

test.each(['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305'])(
  'the cipher suite %s is spoken',
  async (suite) => {
    const { port } = await start();
    const { text } = await sClient(port, ['-tls1_2', '-cipher', suite]);
    expect(text).toMatch(new RegExp(`Cipher is ${suite}`));
  },
);

test('a client of TLS 1.2 may not negotiate anew, and nothing is compressed', async () => {
  const { port } = await start();
  const { text } = await sClient(port, ['-tls1_2', '-comp'], 'R\n');
  expect(text).toMatch(/Compression: NONE/);
  expect(text).toMatch(/no renegotiation/i);
});

test('a server shows the certificate of the name that is asked for, in any case, and of one label for a star', async () => {
  const named = (name) => certificate(name, made.ca, { names: [`DNS:${name}`] });
  const sni = {
    'One.Test': named('one.test'),
    '*.Wild.test': named('*.wild.test'),
    'x.wild.test': named('x.wild.test'),
  };
  const { port } = await start({ sni });
  const shown = async (servername) => {
    const options = { ca: made.ca.cert, servername, checkServerIdentity: () => undefined };
    const socket = await shakeHands(port, options);
    return socket.getPeerCertificate().subject.CN;
  };
  for (const [servername, expected] of [
    ['one.test', 'one.test'],
    ['ONE.tEST', 'one.test'],
    ['a.wild.test', '*.wild.test'],
    ['A.WILD.TEST', '*.wild.test'],
    ['x.wild.test', 'x.wild.test'],
    ['a.b.wild.test', 'localhost'],
    ['wild.test', 'localhost'],
    ['sub.one.test', 'localhost'],
    ['other.test', 'localhost'],
    ['', 'localhost'],
  ]) {
    expect([servername, await shown(servername)]).toEqual([servername, expected]);
  }
});

test('a chain is sent whole', async () => {
  const between = certificate('Between', made.ca, { isAuthority: true });
  const leaf = certificate('localhost', between, { names: ['DNS:localhost'] });
  const { port } = await start({ cert: leaf.chain, key: leaf.key });
  const socket = await shakeHands(port, { ca: made.ca.cert });
  expect(socket.authorized).toBe(true);
});

test.each([
  [
    'of an authority that it does not know',
    { ca: () => certificate('Another CA', undefined, { isAuthority: true }).cert },
  ],
  ['for another name', { servername: () => 'other.test' }],
])('a client refuses a certificate %s, which is a debug line and no more', async (_, options) => {
  const { port, log } = await start();
  const given = Object.fromEntries(Object.entries(options).map(([name, make]) => [name, make()]));
  await refusal(port, { ca: made.ca.cert, ...given });
  expect(log.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  expect((await shakeHands(port, { ca: made.ca.cert })).authorized).toBe(true);
});

test('a certificate that has expired is served, and refused by clients', async () => {
  const { cert, key } = certificate('localhost', made.ca, { names: ['DNS:localhost'], days: -1 });
  const { port } = await start({ cert, key });
  expect(await refusal(port, { ca: made.ca.cert })).toMatchObject({ code: 'CERT_HAS_EXPIRED' });
});

test.each([
  ['a request', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['a request with a body', `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`],
  ['the beginning of a request', 'G'],
  ['garbage', Buffer.from('80ff00ff', 'hex')],
])('%s in plain is answered with 400 and closed', async (_, bytes) => {
  const { port, log } = await start();
  const raw = await plainly(port, bytes);
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n/);
  expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([]);
});

test('TLS on a plain port is closed at once, with a line that names the peer and is limited', async () => {
  const { port, log } = await startServer({}, (server) => server.addHttpHandler(answering('fine')));
  expect(await refusal(port)).toMatchObject({ code: 'ECONNRESET' });
  const line = await log.line('TLS on a plain port');
  expect(line).toEqual({ level: 'warn', message: 'TLS on a plain port', context: { remoteAddress: '127.0.0.1' } });
  const many = Array.from({ length: 150 }, () => refusal(port));
  await Promise.all(many);
  await log.line('Log lines suppressed');
  expect(log.all('TLS on a plain port').length).toBeLessThanOrEqual(101);
  expect((await request(port)).text).toBe('fine');
});

test('a handshake that does not end is ended by headTimeoutMs, and so is a head behind one', async () => {
  const { port, log } = await start({}, { limits: { headTimeoutMs: 300 } });
  const silent = await plainly(port);
  const begun = await plainly(port, Buffer.from('1603010200010001fc0303', 'hex'));
  const socket = await shakeHands(port, { ca: made.ca.cert });
  const headless = new RawConnection(socket);
  headless.write('GET / HTTP/1.1\r\n');
  expect(await silent.end()).toBe('');
  expect(await begun.end()).toBe('');
  expect(await headless.end()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  await log.until(() => log.all('Request head took too long').length === 3);
});

test('a handshake and the head behind it have one time together', async () => {
  const { port } = await start({}, { limits: { headTimeoutMs: 1000 } });
  const below = net.connect({ port, host: '127.0.0.1' });
  await once(below, 'connect');
  const began = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 700));
  const raw = new RawConnection(await shakeHands(port, { ca: made.ca.cert, socket: below }));
  raw.write('GET / HTTP/1.1\r\n');
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 408 /);
  // Were the time to begin anew behind the handshake, it would be 1,700 ms at least.
  expect(Date.now() - began).toBeLessThan(1650);
});

test('a failed handshake is told on debug, with the peer and the reason', async () => {
  const { port, log } = await start();
  const raw = await plainly(port, Buffer.from('1603010004ffffffff', 'hex'));
  await raw.end();
  const line = await log.line('TLS handshake failed');
  expect(line.level).toBe('debug');
  expect(line.context).toEqual({ remoteAddress: '127.0.0.1', error: expect.any(String) });
});
