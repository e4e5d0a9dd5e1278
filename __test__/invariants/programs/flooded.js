'use strict';

// A server that is flooded while its event loop is blocked, and reports by how much its memory has grown. Started with the
// number of flooding workers and the file by which they show that they are done or stuck.

const { WorkerServer } = require('../../support/package');
const { blockUntilFile } = require('../../support/fleet');

const [workers, file] = [Number(process.argv[2]), process.argv[3]];

(async () => {
  const server = new WorkerServer({
    port: 0,
    limits: { maxUnhandledBytes: 1024 * 1024, maxUnhandledBytesTotal: 4 * 1024 * 1024 },
  });
  let count = 0;
  server.onWorkerMessage('flood', () => {
    count += 1;
  });
  server.onWorkerMessage('block', () => {
    if (server.getWorkerCount() !== workers + 1) throw new Error(`${server.getWorkerCount()} workers`);
    const before = process.memoryUsage().rss;
    const { stalled } = JSON.parse(blockUntilFile(file));
    console.log(JSON.stringify({ stalled, grown: process.memoryUsage().rss - before, handled: count }));
  });
  server.onWorkerMessage('count', (worker) => server.send(worker.id, { count }));
  server.onWorkerMessage('stop', () => server.stop());
  await server.start();
  console.log(`port ${server.port}`);
})();
