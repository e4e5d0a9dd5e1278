'use strict';

// A start that fails leaves nothing behind, wherever it fails, and can be tried again.

const http = require('node:http');
const native = require('../../lib/native/addon.js');
const { freePort } = require('../support/ports.js');
const { createServer, startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

afterEach(() => jest.restoreAllMocks());

const broken = () => {
  throw new Error('broken');
};

test.each([
  ['the HTTP side cannot be made', () => jest.spyOn(http, 'createServer').mockImplementationOnce(broken)],
  [
    'the native server cannot be looked into',
    () => jest.spyOn(native.NativeServer.prototype, 'row').mockImplementationOnce(broken),
  ],
  [
    'an endpoint cannot be passed to it',
    () => jest.spyOn(native.NativeServer.prototype, 'addEndpoint').mockImplementationOnce(broken),
  ],
])('if %s, the port is free again', async (_, breakOnce) => {
  const { server, log } = createServer({ port: await freePort() });
  server.addWebSocketEndpoint('/ws', () => {});
  breakOnce();
  await expect(server.start()).rejects.toThrow('broken');
  expect(log.contexts('HTTP server error')).toEqual([{ error: 'broken' }]);
  await expect(server.stop()).resolves.toBeUndefined();
  // Somebody else could have it, and leave it again.
  const { server: other } = await startServer({ port: server.port });
  await other.stop();
  await server.start();
  expect((await connectWorker(server, 'w')).ack.success).toBe(true);
});

test('a start on a port that is taken can be tried again when it is free', async () => {
  const { server: first, port } = await startServer();
  const { server: second } = createServer({ port });
  for (let n = 0; n < 3; n += 1) await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE', port });
  await first.stop();
  await second.start();
  expect((await connectWorker(second, 'w')).ack.success).toBe(true);
});
