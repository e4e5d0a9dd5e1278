'use strict';

// Plain connections, or encrypted ones: test files of connections run over both. Where WORKER_SERVER_TLS is 1 when this
// is loaded, servers get a certificate, and clients connect by TLS.

const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');

const isSecure = process.env.WORKER_SERVER_TLS === '1';
const made = isSecure ? require('./certificates.js').certificates() : undefined;

/** Options of a server. */
const serverOptions = isSecure ? { tls: { cert: made.server.cert, key: made.server.key } } : {};
/** Options of a client: of `ws`, `https`, `tls`. */
const clientOptions = isSecure ? { ca: made.ca.cert } : {};

/** On an encrypted socket: the one below it. */
const BELOW = Symbol('below');

/** As `net.connect`. */
function connect(options) {
  const below = net.connect(options);
  if (!isSecure) return below;
  const { allowHalfOpen } = options;
  const socket = tls.connect({ ...clientOptions, socket: below, servername: 'localhost', allowHalfOpen });
  socket[BELOW] = below;
  return socket;
}

/** Breaks a connection of `connect` off. */
function reset(socket) {
  (socket[BELOW] ?? socket).resetAndDestroy();
}

/** What tells that a socket of `connect` is connected. */
const CONNECTED = isSecure ? 'secureConnect' : 'connect';

/** Node's module `http`, or what of `https` is the same. */
const httpModule = isSecure
  ? {
      ...http,
      request: (options, ...rest) => https.request({ ...clientOptions, ...options }, ...rest),
      get: (options, ...rest) => https.get({ ...clientOptions, ...options }, ...rest),
      Agent: https.Agent,
    }
  : http;

module.exports = {
  isSecure,
  serverOptions,
  clientOptions,
  connect,
  reset,
  CONNECTED,
  http: httpModule,
  webSocketScheme: isSecure ? 'wss' : 'ws',
};
