'use strict';

// A client of `node:tls` whose handshake is all that matters, and openssl's own.

const { spawn } = require('child_process');
const { once } = require('events');
const tls = require('tls');
const { onCleanup } = require('./cleanup');

/**
 * Resolves with the socket when the handshake is done and, where it was asked for, the session has come; rejects if it
 * fails.
 */
async function shakeHands(port, options = {}) {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
  onCleanup(() => socket.destroy());
  socket.setMaxListeners(0);
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

/**
 * Resolves with the error that a handshake ends with. With TLS 1.3 the client may be done before the server refuses it.
 */
async function refusal(port, options = {}) {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
  onCleanup(() => socket.destroy());
  return new Promise((resolve, reject) => {
    socket.on('error', resolve);
    socket.on('close', () => reject(new Error('it was closed without an error')));
    socket.resume();
  });
}

/** What any refusal of the server's is to a client: an alert, or the end of the connection before that was read. */
const REFUSED = { code: expect.stringMatching(/^(ERR_SSL_|ECONNRESET$|EPIPE$)/) };

/** What `openssl s_client` says of a connection to the port. */
async function sClient(port, args, input = '') {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args]);
  onCleanup(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  const [code] = await once(child, 'close');
  return { code, text: Buffer.concat(chunks).toString() };
}

module.exports = { REFUSED, shakeHands, refusal, sClient };
