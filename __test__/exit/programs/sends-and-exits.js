'use strict';

// Sends as many messages as it is asked for to the worker that asks, and exits in the same turn.

const { WorkerServer } = require('../../support/package');

const server = new WorkerServer({ port: 0 });
server.onWorkerMessage('warm up', (worker, { count }) => {
  for (let i = 0; i < count; i += 1) server.send(worker.id, { type: 'warm' });
});
server.onWorkerMessage('send and exit', (worker, { count }) => {
  for (let i = 0; i < count; i += 1) server.send(worker.id, { type: 'last words', i });
  process.exit(0);
});
server.onWorkerMessage('send and compute', (worker, { ms }) => {
  server.send(worker.id, { type: 'before' });
  const end = performance.now() + ms;
  while (performance.now() < end);
  server.send(worker.id, { type: 'after' });
});
server.start().then(() => console.log(`port ${server.port}`));
