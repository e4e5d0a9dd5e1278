'use strict';

// A started server with nothing else to do. Its stdin isn't read, so only the server keeps it alive.

const { WorkerServer } = require('../../support/package');

const server = new WorkerServer({ port: 0 });
server.onWorkerMessage('stop', () => server.stop());
server.onWorkerMessage('exit', (worker, { code }) => process.exit(code));
server.onWorkerMessage('throw', () =>
  setImmediate(() => {
    throw new Error('on purpose');
  }),
);
server.addHttpHandler(async (req, res) => {
  res.end('alive');
  return true;
});
server.start().then(() => console.log(`port ${server.port}`));
