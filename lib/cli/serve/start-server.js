'use strict';

// A server with all that `serve` puts on its port.

const os = require('node:os');
const { WorkerServer } = require('../../../index.js');
const { openaiGateway } = require('../../gateway');
const { isLoopback } = require('../../http/this-machine.js');
const { statusPage } = require('../../status');
const { Failure } = require('../errors.js');
const { printable } = require('../printable.js');
const { adminGuard, guardHandler } = require('./admin-guard.js');
const { healthHandler } = require('./health.js');
const { metricsHandler } = require('./metrics.js');

/** Wrong tokens that an address may send in a minute. Its port may be reached by anybody. */
const MAX_AUTH_FAILURES = 10;

/**
 * @param {object} options
 * @param {number} options.port
 * @param {string} [options.host] undefined: all interfaces
 * @param {string[]} [options.tokens] undefined: no worker is asked for one
 * @param {string[]} [options.apiKeys] undefined: the gateway is open
 * @param {string} [options.adminKey] undefined: the status page is for this machine if the port is, else open
 * @param {boolean} [options.hasHome] whether `/` shows the status page
 * @param {object} [options.more] further options of the server
 * @returns {Promise<WorkerServer>} it drains and stops at SIGTERM and SIGINT
 */
async function startServer({ port, host, tokens, apiKeys, adminKey, hasHome = false, more = {} }) {
  let hasStarted = false;
  // What keeps it from starting is said once, as the command's failure.
  const logger = loggerToStderr(() => hasStarted);
  const limits = { maxAuthFailures: MAX_AUTH_FAILURES };
  const server = new WorkerServer({ port, host, authToken: tokens, drainOnSignals: true, logger, limits, ...more });
  const isOpen = host === undefined || !isLoopback(host);
  if (hasHome) server.addHttpHandler(home);
  server.addHttpHandler(healthHandler(server));
  server.addHttpHandler(guardHandler(adminGuard({ key: adminKey, isOpen }), adminKey !== undefined));
  // A request that gets as far as this was let in by the guard.
  server.addHttpHandler(statusPage(server, { path: '/status', authenticate: () => true, actions: true }));
  server.addHttpHandler(metricsHandler(server));
  server.addHttpHandler(openaiGateway(server, { path: '/v1', apiKeys }));
  try {
    await server.start();
    hasStarted = true;
  } catch (error) {
    throw new Failure(reasonOf(error, port, host), { cause: error });
  }
  return server;
}

/**
 * The status page at `/`, with what it asks for beside its own path: the handlers after this one see its other path.
 */
function home(req) {
  const [, path, query] = /^\/((?:events|explain|actions)?)(\?.*)?$/.exec(req.url) ?? [];
  if (path !== undefined) req.url = `/status${path === '' ? '' : `/${path}`}${query ?? ''}`;
  return false;
}

function reasonOf(error, port, host) {
  const at = host === undefined ? `port ${port}` : `port ${port} of ${host}`;
  if (error.code === 'EADDRINUSE') return `${at} is taken (EADDRINUSE)`;
  // Not the system's: the fleet could not be joined.
  if (error.code === undefined) return error.message;
  return `can't listen on ${at}: ${error.message}`;
}

function loggerToStderr(isOn) {
  const line = (level) => (message, context) => {
    if (!isOn()) return;
    console.error(printable(`${level}: ${message}${context === undefined ? '' : ` ${JSON.stringify(context)}`}`));
  };
  const nothing = () => {};
  return { debug: nothing, info: nothing, warn: line('warn'), error: line('error') };
}

/**
 * The host and port under which others reach the server: of all interfaces, the first that leads out of this machine.
 */
function reachableAt(server, host) {
  const isWildcard = host === undefined || host === '0.0.0.0' || host === '::';
  const name = isWildcard ? outwardAddress() : host;
  return `${name.includes(':') ? `[${name}]` : name}:${server.port}`;
}

function outwardAddress() {
  const addresses = Object.values(os.networkInterfaces()).flat();
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

module.exports = { reachableAt, startServer };
