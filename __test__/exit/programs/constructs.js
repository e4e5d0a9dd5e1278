'use strict';

// Constructs servers and starts none.

const { WorkerServer } = require('../../support/package');

const servers = Array.from({ length: 10 }, () => new WorkerServer({ port: 0, authToken: 'token' }));
for (const server of servers) {
  server.onWorkerConnected(() => {});
  server.addHttpHandler(async () => true);
  server.addWebSocketEndpoint('/e', () => {});
}
console.log('constructed', servers.map((server) => server.getWorkerCount()).join(''));
