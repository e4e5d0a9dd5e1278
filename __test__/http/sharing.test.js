'use strict';

// One port for several servers.

const { startServer, createServer } = require('../support/server');
const { startProgram } = require('../support/program');
const { openWorker } = require('../support/socket');

test('a second server on a port is refused with EADDRINUSE', async () => {
  const { port } = await startServer();
  await expect(createServer({ port }).server.start()).rejects.toMatchObject({
    code: 'EADDRINUSE',
    syscall: 'listen',
    port,
  });
});

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix('the processes of a cluster share a port, each with a pool of its own, and others do not', async () => {
  const { code, stdout, stderr } = await startProgram('http/programs/cluster.js').exit;
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toBe('second true\nsum true\nalone EADDRINUSE\nleft true\n');
});

onUnix('servers with reusePort share a port, and with none that is without it', async () => {
  const first = await startServer({ reusePort: true });
  const { port } = first;
  const second = await startServer({ port, reusePort: true });
  expect(second.port).toBe(port);
  let count = 0;
  while (first.server.getWorkerCount() === 0 || second.server.getWorkerCount() === 0) {
    await openWorker(port, `w${count}`);
    count += 1;
  }
  expect(first.server.getWorkerCount() + second.server.getWorkerCount()).toBe(count);
  await expect(createServer({ port }).server.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

(process.platform === 'win32' ? test : test.skip)(
  'where processes can share no port, a server with reusePort is refused with ENOTSUP',
  async () => {
    await expect(createServer({ reusePort: true }).server.start()).rejects.toMatchObject({
      code: 'ENOTSUP',
      syscall: 'listen',
    });
  },
);
