'use strict';

// `serve --cluster`: a connection to the broker by whichever of its client packages is installed beside this one.

const { once } = require('node:events');
const { createRequire } = require('node:module');
const { natsAdapter, redisAdapter } = require('../../cluster');
const { Failure } = require('../errors.js');

/** The client packages of a broker, any of which will do, the best first, and how each is connected. */
const CLIENTS = {
  'nats:': { '@nats-io/transport-node': connectNats, nats: connectNats },
  'redis:': { ioredis: connectIoredis, redis: connectRedis },
};
const PROTOCOLS = Object.keys(CLIENTS);
const DEFAULT_NATS_PORT = 4222;
/** How long a connection that was lost waits before it is tried again, in ms. */
const RECONNECT_MS = 500;

/**
 * Connects to a broker.
 *
 * @param {URL} url
 * @returns an adapter whose `close` ends the connections
 * @throws {Failure} if no client package is installed, or no broker answers
 */
async function connectCluster(url) {
  const clients = CLIENTS[url.protocol];
  const beside = createRequire(__filename);
  const name = Object.keys(clients).find((one) => isInstalled(beside, one));
  if (name === undefined) {
    const names = Object.keys(clients).join(' or ');
    throw new Failure(`--cluster needs the package ${names} installed beside this one`);
  }
  try {
    return await clients[name](beside(name), url);
  } catch (error) {
    // Neither the URL nor what a client says of it: either may hold a password.
    throw new Failure(`--cluster: no connection to the broker at ${url.host}${codeOf(error)}`, { cause: error });
  }
}

function isInstalled(beside, name) {
  try {
    return beside.resolve(name) !== undefined;
  } catch {
    return false;
  }
}

function codeOf({ code, name }) {
  const said = typeof code === 'string' ? code : name;
  return typeof said === 'string' && /^[A-Za-z_]+$/.test(said) ? ` (${said})` : '';
}

async function connectNats({ connect }, url) {
  const connection = await connect({
    servers: `${url.hostname}:${url.port || DEFAULT_NATS_PORT}`,
    user: decodeURIComponent(url.username) || undefined,
    pass: decodeURIComponent(url.password) || undefined,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
  });
  return { ...natsAdapter(connection), close: () => connection.close() };
}

async function connectIoredis({ Redis }, url) {
  const connect = () => new Redis(url.href, { retryStrategy: () => RECONNECT_MS, maxRetriesPerRequest: null });
  const clients = [connect(), connect()];
  return ready(clients, (client) => client.disconnect());
}

async function connectRedis({ createClient }, url) {
  const connect = () => createClient({ url: url.href, socket: { reconnectStrategy: () => RECONNECT_MS } });
  const clients = [connect(), connect()];
  // The client emits the error as an event as well.
  for (const client of clients) client.connect().catch(() => {});
  return ready(clients, (client) => client.destroy());
}

/**
 * Once both have connected; the first error ends that. Later errors are the clients' own matter, which connect again.
 */
async function ready(clients, close) {
  const closeAll = async () => clients.forEach(close);
  try {
    await Promise.all(clients.map((client) => once(client, 'ready')));
  } catch (error) {
    for (const client of clients) client.on('error', () => {});
    await closeAll();
    throw error;
  }
  for (const client of clients) client.on('error', () => {});
  return { ...redisAdapter(...clients), close: closeAll };
}

module.exports = { PROTOCOLS, connectCluster };
