'use strict';

const net = require('node:net');
const { startServer } = require('../support/server');
const { startProgram } = require('../support/program');
const { request, answering } = require('../support/http');
const { rawConnect } = require('../support/raw');

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a thread that ends while connections are on their way to Node leaves no descriptor behind', async () => {
  const { code, stdout, stderr } = await startProgram('exit/programs/thread-on-the-way.js').exit;
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toBe('before 0\nafter 0\n');
});

test('a connection of which Node can make no socket is closed and logged, and the server goes on', async () => {
  const { port, log } = await startServer({}, (server) => server.addHttpHandler(answering('fine')));
  const raw = await rawConnect(port);
  // Not for the client, which has its socket.
  const spy = jest.spyOn(net, 'Socket').mockImplementationOnce(() => {
    throw new Error('no socket');
  });
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  expect(await raw.end()).toBe('');
  spy.mockRestore();
  expect(log.all('HTTP server error').map((line) => line.context)).toEqual([{ error: 'no socket' }]);
  expect((await request(port)).text).toBe('fine');
});
