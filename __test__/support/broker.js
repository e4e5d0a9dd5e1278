'use strict';

// Real brokers on free ports, and connections to them by the clients that programs use.

const { once } = require('node:events');
const net = require('node:net');
const { BrokerProcess, programOf } = require('./broker-process.js');
const { onCleanup } = require('./cleanup.js');
const { testWith } = require('./installed.js');
const { freePort } = require('./ports.js');

/** `test`, or where a broker isn't installed what skips it. */
const testWithBroker = (kind) => testWith(programOf(kind));

async function startBroker(kind) {
  const broker = new BrokerProcess(kind, await freePort());
  onCleanup(() => broker.close());
  await broker.start();
  return broker;
}

/** Passes connections on to a port until `cut()`: what it had is stuck then, and closed at `heal()`. */
async function startRelay(port) {
  const pairs = new Set();
  let isCut = false;
  const server = net.createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = net.connect(port, '127.0.0.1');
    const pair = [client, upstream];
    pairs.add(pair);
    client.pipe(upstream);
    upstream.pipe(client);
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay = {
    port: server.address().port,
    /** Nothing passes any more, and neither side is notified. */
    cut() {
      isCut = true;
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.pause();
        upstream.pause();
      }
    },
    heal() {
      isCut = false;
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
    async close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  onCleanup(() => relay.close());
  return relay;
}

/** Connections by each client, as the adapter that is made of them, and what closes them. */
const CLIENTS = {
  '@nats-io/transport-node': { broker: 'nats', connect: (port) => connectNats('@nats-io/transport-node', port) },
  nats: { broker: 'nats', connect: (port) => connectNats('nats', port) },
  ioredis: { broker: 'redis', connect: connectIoredis },
  redis: { broker: 'redis', connect: connectRedis },
};

async function connectNats(name, port) {
  const { natsAdapter } = require('../../lib/cluster');
  const { connect } = require(name);
  const options = {
    servers: `127.0.0.1:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    waitOnFirstConnect: true,
  };
  const connection = await connect(options);
  return {
    adapter: natsAdapter(connection),
    isOpen: () => !connection.isClosed() && !connection.isDraining(),
    close: () => connection.close(),
  };
}

async function connectIoredis(port) {
  const { redisAdapter } = require('../../lib/cluster');
  const { Redis } = require('ioredis');
  const options = { port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null };
  const clients = [new Redis(options), new Redis(options)];
  for (const client of clients) client.on('error', () => {});
  await Promise.all(clients.map((client) => client.ping()));
  return {
    adapter: redisAdapter(...clients),
    isOpen: () => clients.every(({ status }) => status === 'ready'),
    close: () => clients.forEach((client) => client.disconnect()),
  };
}

async function connectRedis(port) {
  const { redisAdapter } = require('../../lib/cluster');
  const { createClient } = require('redis');
  const options = { url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: () => 50 } };
  const clients = [createClient(options), createClient(options)];
  for (const client of clients) client.on('error', () => {});
  await Promise.all(clients.map((client) => client.connect()));
  return {
    adapter: redisAdapter(...clients),
    isOpen: () => clients.every(({ isReady }) => isReady),
    close: () => clients.forEach((client) => client.destroy()),
  };
}

/** A connection by the named client, which is closed after the test. */
async function connectBy(name, port) {
  const connection = await CLIENTS[name].connect(port);
  onCleanup(() => connection.close());
  return connection;
}

module.exports = { CLIENTS, connectBy, startBroker, startRelay, testWithBroker };
