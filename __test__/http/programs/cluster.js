'use strict';

// Two processes of a cluster that listen on one port. Each reports whom it serves.

const cluster = require('node:cluster');
const { once } = require('node:events');
const { WorkerServer } = require('../../support/package');

async function serve(port) {
  const server = new WorkerServer({ port });
  server.onWorkerConnected(({ id }) => process.send({ connected: id, count: server.getWorkerCount() }));
  server.addHttpHandler((req, res) => {
    res.end(String(process.pid));
    return true;
  });
  try {
    await server.start();
    process.send({ port: server.port });
  } catch (error) {
    process.send({ error: error.code });
  }
  process.once('message', async () => {
    await server.stop();
    process.disconnect();
  });
}

async function main() {
  const { openWorker } = require('../../support/socket');
  const { cleanUp } = require('../../support/cleanup');
  const first = cluster.fork({ PORT: 0 });
  const [{ port }] = await once(first, 'message');
  const second = cluster.fork({ PORT: port });
  const [started] = await once(second, 'message');
  console.log('second', JSON.stringify(started) === JSON.stringify({ port }));
  const counts = new Map();
  const seen = new Set();
  for (const process of [first, second]) {
    process.on('message', ({ connected, count }) => {
      seen.add(connected);
      counts.set(process, count);
    });
  }
  // The system hands each connection to one of them, and before long both have had some.
  let opened = 0;
  while (counts.size < 2) {
    await openWorker(port, `w${opened}`, {}, '/');
    opened += 1;
  }
  while (seen.size < opened) await new Promise((resolve) => setTimeout(resolve, 5));
  console.log('sum', counts.get(first) + counts.get(second) === opened);
  // A server of a process that is none of the cluster's does not share.
  await new WorkerServer({ port }).start().catch((error) => console.log('alone', error.code));
  const exits = [first, second].map((process) => once(process, 'exit'));
  // Whoever is left has all that is new.
  first.send('stop');
  await exits[0];
  for (let i = 0; i < 20; i += 1) await openWorker(port, `later${i}`);
  console.log('left', true);
  second.send('stop');
  await exits[1];
  await cleanUp();
}

if (cluster.isPrimary) main();
else serve(Number(process.env.PORT));
