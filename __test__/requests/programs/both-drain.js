'use strict';

// A server and a worker in one process, both of which leave at SIGTERM, with a request under way that ends a while
// after it.

const { WorkerServer } = require('../../support/package.js');
const { Worker } = require('../../../lib/worker/index.js');

const say = (text) => process.stdout.write(`${text}\n`);

async function run() {
  const server = new WorkerServer({ port: 0, drainOnSignals: ['SIGTERM'] });
  await server.start();
  let end;
  const ends = new Promise((resolve) => {
    end = resolve;
  });
  const worker = new Worker({
    url: `ws://127.0.0.1:${server.port}`,
    capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 1 },
    handleSignals: ['SIGTERM'],
    handler: () => ends,
  });
  const ran = worker.run();
  const answer = server.request({}, { onStarted: () => process.kill(process.pid, 'SIGTERM') });
  server.onWorkerUpdated((info) => {
    say(`server ${server.state}, worker ${info.status}`);
    end('done');
  });
  say(`result ${await answer}`);
  await ran;
  say(`worker ${worker.state}`);
  process.on('exit', () => say(`server ${server.state}, listeners ${process.listenerCount('SIGTERM')}`));
}

run();
