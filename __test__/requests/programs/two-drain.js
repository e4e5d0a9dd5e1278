'use strict';

// Two servers that leave at the same signal.

const { WorkerServer } = require('../../support/package.js');

const count = () => process.listenerCount('SIGTERM');
const servers = [0, 1].map(() => new WorkerServer({ port: 0, drainOnSignals: ['SIGTERM'] }));
const before = count();
process.on('exit', () => {
  const states = servers.map(({ state }) => state).join();
  process.stdout.write(`states ${states}, listeners ${count() - before}\n`);
});
Promise.all(servers.map((server) => server.start())).then(() => {
  process.stdout.write(`listeners ${count() - before}\n`);
  process.kill(process.pid, 'SIGTERM');
});
