'use strict';

// A server whose port is taken, and one that is stopped without having been started.

const net = require('net');
const { WorkerServer } = require('../../support/package');

const taken = net.createServer().listen(0, async () => {
  const server = new WorkerServer({ port: taken.address().port });
  try {
    await server.start();
  } catch (error) {
    console.log(error.code);
  }
  await new WorkerServer({ port: 0 }).stop();
  taken.close();
});
