'use strict';

// setSecureContext(): what new handshakes go by, tickets, and a swap under load.

const { once } = require('node:events');
const https = require('node:https');
const net = require('node:net');
const { certificate, certificates } = require('../support/certificates');
const { onCleanup } = require('../support/cleanup');
const { readAll, answering } = require('../support/http');
const { createServer, startServer, nextCall } = require('../support/server');
const { REFUSED, refusal, shakeHands } = require('../support/tls-client');
const { connectOver } = require('../support/tls-worker');

let made;
let renewed;
beforeAll(() => {
  made = certificates();
  renewed = certificate('renewed', made.ca, { names: ['DNS:localhost'] });
});

const pairOf = ({ cert, key }) => ({ cert, key });
const start = (tls = {}) =>
  startServer({ tls: { ...pairOf(made.server), ...tls } }, (server) => server.addHttpHandler(answering('fine')));
const shown = async (port, options = {}) => {
  const socket = await shakeHands(port, { ca: made.ca.cert, ...options });
  return socket.getPeerCertificate().subject.CN;
};

test('new handshakes use a new context, and connections of before go on', async () => {
  const { server, port } = await start();
  const worker = await connectOver(port, 'w', { ca: made.ca.cert });
  expect(await shown(port)).toBe('localhost');
  expect(server.setSecureContext(pairOf(renewed))).toBeUndefined();
  expect(await shown(port)).toBe('renewed');
  expect(server.send('w', { type: 'still' })).toBe(true);
  expect(await worker.next()).toEqual({ type: 'still' });
});

test('a bad one throws and the old stays', async () => {
  const { server, port } = await start();
  for (const bad of [{ ...pairOf(renewed), key: made.server.key }, { cert: 'x', key: 'y' }, null, undefined, 1]) {
    expect(() => server.setSecureContext(bad)).toThrow(TypeError);
  }
  expect(await shown(port)).toBe('localhost');
});

test('all of it is replaced: versions, names and who is asked for a certificate', async () => {
  const { server, port } = await start({ sni: { 'one.test': pairOf(renewed) }, minVersion: 'TLSv1.3' });
  const unchecked = { servername: 'one.test', checkServerIdentity: () => undefined };
  expect(await shown(port, unchecked)).toBe('renewed');
  server.setSecureContext(pairOf(made.server));
  expect(await shown(port, { ...unchecked, maxVersion: 'TLSv1.2' })).toBe('localhost');
  server.setSecureContext({ ...pairOf(made.server), ca: made.ca.cert, requestCert: true });
  expect(await refusal(port, { ca: made.ca.cert })).toMatchObject(REFUSED);
});

test('before the start and after a stop it counts for the next start', async () => {
  const { server } = createServer({ tls: pairOf(made.server) });
  server.setSecureContext(pairOf(renewed));
  await server.start();
  expect(await shown(server.port)).toBe('renewed');
  await server.stop();
  server.setSecureContext(pairOf(made.server));
  const starting = server.start();
  server.setSecureContext(pairOf(renewed));
  await starting;
  expect(await shown(server.port)).toBe('renewed');
});

describe.each(['TLSv1.2', 'TLSv1.3'])('a session of %s', (version) => {
  test('is resumed within one context, and by no other', async () => {
    const { server, port } = await start();
    const options = { ca: made.ca.cert, minVersion: version, maxVersion: version };
    const ticketOf = async () => {
      const socket = await shakeHands(port, options);
      // With 1.2 it is there when the handshake is done.
      if (version === 'TLSv1.2') return socket.getSession();
      const [session] = await once(socket, 'session');
      return session;
    };
    const isReused = async (session) => (await shakeHands(port, { ...options, session })).isSessionReused();
    const ticket = await ticketOf();
    expect(await isReused(ticket)).toBe(true);
    // Of the very same material.
    server.setSecureContext(pairOf(made.server));
    expect(await isReused(ticket)).toBe(false);
    expect(await isReused(await ticketOf())).toBe(true);
  });
});

test('under load nothing is lost while the context is swapped 100 times', async () => {
  const { server, port } = await start();
  const ca = made.ca.cert;
  const WORKERS = 200;
  const REQUESTS = 10_000;
  const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 8, maxCachedSessions: 0 });
  onCleanup(() => agent.destroy());
  const get = async (path, how) => {
    const req = https.get({ port, host: 'localhost', path, ...how });
    const [res] = await once(req, 'response');
    return String(await readAll(res));
  };
  const workers = await Promise.all(Array.from({ length: WORKERS }, (_, i) => connectOver(port, `w${i}`, { ca })));
  let answered = 0;
  let swaps = 0;
  const swapper = async () => {
    for (; swaps < 100; swaps += 1) {
      server.setSecureContext(pairOf(swaps % 2 === 0 ? renewed : made.server));
      while (answered < swaps * 90) await new Promise(setImmediate);
    }
  };
  const client = async (share) => {
    for (let i = 0; i < share; i += 1) {
      // Each twentieth has a connection, and so a handshake, of its own.
      const how = i % 20 === 0 ? { agent: false, ca } : { agent };
      expect(await get(`/${i}`, how)).toBe('fine');
      answered += 1;
    }
  };
  await Promise.all([swapper(), ...Array.from({ length: 8 }, () => client(REQUESTS / 8))]);
  expect([answered, swaps]).toEqual([REQUESTS, 100]);
  const echoes = workers.map(async (worker, i) => {
    server.send(`w${i}`, { type: 'are you there', i });
    expect(await worker.next()).toEqual({ type: 'are you there', i });
  });
  await Promise.all(echoes);
  expect(server.getAvailableWorkerCount()).toBe(WORKERS);
}, 120_000);

test('a connection that is there already goes by the context of the moment in which its handshake begins', async () => {
  const { server, port } = await start();
  const below = net.connect({ port, host: '127.0.0.1' });
  await once(below, 'connect');
  server.setSecureContext(pairOf(renewed));
  expect(await shown(port, { socket: below })).toBe('renewed');
  const [[worker]] = await Promise.all([
    nextCall((handler) => server.onWorkerConnected(handler)),
    connectOver(port, 'late', { ca: made.ca.cert }),
  ]);
  expect(worker.id).toBe('late');
});
