'use strict';

// A thread that ends while a connection is on its way from the native side to Node: after its descriptor was taken, and
// before or after a socket was made of it. Prints how many descriptors are left open in the process by that.

const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { WorkerServer } = require('../../support/package');

/** Inodes of the sockets that this process has open. */
function openSockets() {
  const targets = fs.readdirSync('/proc/self/fd').map((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The folder itself, closed by now.
      return '';
    }
  });
  return targets.filter((target) => target.startsWith('socket:'));
}

async function serve() {
  const { Socket } = net;
  net.Socket = function EndingSocket(options) {
    const socket = workerData === 'after' ? new Socket(options) : undefined;
    process.exit(0);
    return socket;
  };
  const server = new WorkerServer({ port: 0 });
  await server.start();
  parentPort.postMessage(server.port);
}

async function main() {
  for (const moment of ['before', 'after']) {
    let left = 0;
    for (let round = 0; round < 5; round += 1) {
      const before = new Set(openSockets());
      const thread = new Worker(__filename, { workerData: moment });
      const [port] = await once(thread, 'message');
      const exit = once(thread, 'exit');
      const clients = [0, 1, 2].map(() => net.connect(port, '127.0.0.1'));
      const closed = clients.map(
        (client) =>
          new Promise((resolve) => {
            client.on('error', () => {}).on('close', resolve);
          }),
      );
      for (const client of clients) client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      await exit;
      for (const client of clients) client.destroy();
      await Promise.all(closed);
      // The native side's threads end in their own time.
      const leftOpen = () => openSockets().filter((socket) => !before.has(socket)).length;
      for (let tries = 0; tries < 200 && leftOpen() > 0; tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 10));
      left += leftOpen();
    }
    console.log(moment, left);
  }
}

if (isMainThread) main();
else serve();
