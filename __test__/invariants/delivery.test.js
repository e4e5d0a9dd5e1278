'use strict';

// Nothing that comes out of one event stops the delivery of the next: here the parts that are not the application's fail.

const http = require('node:http');
const native = require('../../lib/native/addon.js');
const { Batch } = require('../../lib/server/event-batch.js');
const { request, answering } = require('../support/http.js');
const { startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');
const { revoked } = require('../support/thrown.js');

afterEach(() => {
  jest.restoreAllMocks();
});

/** Lets a method fail once, before or after it has done its work. */
function failsOnce(prototype, name, { after = false, thrown = () => new Error(`${name} failed`) } = {}) {
  const original = prototype[name];
  return jest.spyOn(prototype, name).mockImplementationOnce(function fail(...args) {
    if (after) original.apply(this, args);
    throw thrown();
  });
}

test.each([
  ['taking events fails', native.NativeServer.prototype, 'drain', {}],
  ['writing what was sent fails', native.NativeServer.prototype, 'flush', { after: true }],
  ['registering fails', native.NativeServer.prototype, 'displace', {}],
  ['it fails with what can not be described', native.NativeServer.prototype, 'drain', { thrown: () => revoked({}) }],
])('if %s, that is logged, later events are delivered, and a stop ends', async (_, prototype, name, how) => {
  const { server, log } = await startServer();
  server.addHttpHandler(answering('fine'));
  const early = await connectWorker(server, 'early');
  await early.sync();
  const spy = failsOnce(prototype, name, how);
  const registered = early.register('early');
  await log.line('Worker WebSocket error', ({ error }) => typeof error === 'string');
  expect(spy).toHaveBeenCalled();
  if (name !== 'displace') await registered;
  const late = await connectWorker(server, 'late');
  await late.sync();
  expect((await request(server.port)).text).toBe('fine');
  await server.stop();
});

test('if events that were taken can not be read, those that are taken next are handled', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server, 'w');
  await worker.sync();
  failsOnce(Batch.prototype, 'take');
  worker.send({ type: 'lost' });
  await log.line('Worker WebSocket error');
  await worker.sync();
  await server.stop();
});

test('if Node can not serve a connection, that is logged, and it serves the next', async () => {
  const { server, log } = await startServer();
  server.addHttpHandler(answering('fine'));
  const { emit } = http.Server.prototype;
  jest.spyOn(http.Server.prototype, 'emit').mockImplementationOnce(() => {
    throw new Error('no room');
  });
  const refused = request(server.port).catch((error) => error);
  expect(await log.line('HTTP server error')).toMatchObject({ level: 'error', context: { error: 'no room' } });
  expect(http.Server.prototype.emit).not.toBe(emit);
  expect((await request(server.port)).text).toBe('fine');
  await server.stop();
  await refused;
});

test('a stop ends though the application has broken the goodbye of an endpoint socket, and the others get theirs', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 200 } });
  const accepted = [];
  server.addWebSocketEndpoint('/x', (ws) => accepted.push(ws));
  const { openSocket } = require('../support/socket.js');
  const [broken, other] = [await openSocket(port, '/x'), await openSocket(port, '/x')];
  accepted[0].close = () => {
    throw revoked({});
  };
  await server.stop();
  expect((await broken.closed).code).toBe(1006);
  expect(await other.closed).toMatchObject({ code: 1001 });
});
