'use strict';

const { once } = require('node:events');
const net = require('node:net');
const { endedTests } = require('./cleanup.js');

const ATTEMPT_INTERVAL_MS = 20;

/** A port that was free a moment ago. */
async function freePort() {
  const server = net.createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether a connection to the port is accepted. */
async function acceptsConnections(port) {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/**
 * Resolves when something accepts connections on the port. Rejects when `child`, which is to listen there, has ended.
 */
async function untilListening(port, child) {
  const before = endedTests();
  while (!(await acceptsConnections(port))) {
    const how = child.signalCode ?? child.exitCode;
    if (how !== null) throw new Error(`${child.spawnfile} ended before it listened on port ${port} (${how})`);
    if (endedTests() > before) throw new Error(`The test has ended, and nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, ATTEMPT_INTERVAL_MS));
  }
}

module.exports = { freePort, untilListening };
