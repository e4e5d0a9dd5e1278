'use strict';

// A server that reports when it can't accept a connection, which it learns from its operating system.

const { WorkerServer } = require('../../support/package');

const say = (level) => (message, context) => console.log(level, message, JSON.stringify(context));
const server = new WorkerServer({
  port: 0,
  logger: { debug: () => {}, info: () => {}, warn: say('warn'), error: say('error') },
});
server.onWorkerMessage('stop', () => server.stop());
server.start().then(() => console.log(`port ${server.port}`));
