'use strict';

// The package's export './cluster': what carries messages between the servers of a fleet. It loads no native code.

const { memoryAdapter } = require('./adapters/memory.js');
const { natsAdapter } = require('./adapters/nats.js');
const { redisAdapter } = require('./adapters/redis.js');

// A literal of plain names, from which Node reads the named exports for ES modules.
module.exports = {
  memoryAdapter,
  natsAdapter,
  redisAdapter,
};
