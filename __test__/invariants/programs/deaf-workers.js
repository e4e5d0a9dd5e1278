'use strict';

// A server that sends to workers that read nothing, and reports how much they took and by how much its memory has grown.

const v8 = require('v8');
const vm = require('vm');
const { WorkerServer } = require('../../support/package');

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

const ROUNDS = 300;
const PAD = 'x'.repeat(1024 * 1024);

(async () => {
  const server = new WorkerServer({ port: 0, limits: { maxQueuedBytes: 4 * 1024 * 1024 } });
  server.onWorkerMessage('send', async () => {
    const before = process.memoryUsage().rss;
    let taken = 0;
    for (let i = 0; i < ROUNDS; i += 1) {
      for (const { id } of server.getWorkerInfo()) {
        if (server.send(id, { type: 'work', pad: PAD })) taken += 1;
      }
      server.broadcast({ type: 'work', pad: PAD });
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The texts that were made for sending are garbage, not what is waiting.
    gc();
    console.log(JSON.stringify({ taken, grown: process.memoryUsage().rss - before }));
    process.exit(0);
  });
  await server.start();
  console.log(`port ${server.port}`);
})();
