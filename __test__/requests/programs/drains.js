'use strict';

// A server that leaves at a signal, with one request under way. Its worker is another process's.

const { WorkerServer } = require('../../support/package.js');

const signals = JSON.parse(process.argv[2]);
const server = new WorkerServer({ port: 0, drainOnSignals: signals });
const say = (text) => process.stdout.write(`${text}\n`);

server.onWorkerConnected(async () => {
  say('asked');
  try {
    say(`result ${await server.request({}, { requestId: 'r' })}`);
  } catch (error) {
    say(`error ${error.code}`);
  }
});
process.on('exit', () => say(`exit, state ${server.state}, listeners ${process.listenerCount('SIGTERM')}`));
server.start().then(() => say(`port ${server.port}`));
