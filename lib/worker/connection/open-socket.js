'use strict';

// Opens a WebSocket to the server: through a proxy if need be, within a time, and with errors that say what went wrong.

const tls = require('node:tls');
const { isIP } = require('node:net');
const WebSocket = require('ws');
const { retryAfterMs } = require('./backoff.js');
const { openTunnel } = require('./proxy.js');

/** How long name resolution, TCP, the proxy, TLS and the upgrade may take together. */
const CONNECT_TIMEOUT_MS = 10_000;
/** The longest message, in bytes: what V8 can hold as one string. */
const MAX_MESSAGE_BYTES = 2 ** 29 - 24;

/**
 * Only these are sent as a header: in others servers disagree about the encoding. The registration carries the token
 * anyhow.
 */
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/**
 * Connects and upgrades. `onOpen(ws)` runs in the very event in which the socket is open, so that no message is missed.
 *
 * @returns {Promise<void>} rejects with an Error that may have `code`, `statusCode` and `retryAfterMs`
 */
async function openSocket({ url, headers, tls: tlsOptions, proxy }, token, signal, onOpen) {
  const timeout = new AbortController();
  const timer = setTimeout(
    () => timeout.abort(new Error(`Connecting took longer than ${CONNECT_TIMEOUT_MS / 1000} s`)),
    CONNECT_TIMEOUT_MS,
  );
  const either = AbortSignal.any([signal, timeout.signal]);
  try {
    const tunnel = proxy && (await throughProxy(url, proxy, either));
    const options = { ...tlsOptions, ...(tunnel && tunnelled(url, tunnel)), headers: upgradeHeaders(headers, token) };
    await upgrade(url, options, either, onOpen);
  } catch (error) {
    throw either.aborted ? either.reason : withMessage(error);
  } finally {
    clearTimeout(timer);
  }
}

/** A name with several addresses fails with an error for each of them, in one that has no message of its own. */
function withMessage(error) {
  if (error.message === '') error.message = (error.errors ?? []).map(({ message }) => message).join('; ') || error.code;
  return error;
}

function throughProxy(url, proxy, signal) {
  const { protocol, hostname, port } = new URL(url);
  return openTunnel(proxy, hostname.replace(/^\[|\]$/g, ''), port || (protocol === 'wss:' ? 443 : 80), signal);
}

function tunnelled(url, socket) {
  if (!url.startsWith('wss:')) return { createConnection: () => socket };
  return {
    createConnection: ({ host, servername, path: _path, ...options }) =>
      tls.connect({ ...options, socket, servername: servername ?? (isIP(host) ? '' : host) }),
  };
}

/** The application's own Authorization goes before the token's. */
function upgradeHeaders(headers, token) {
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
  if (named || !token || !VISIBLE_ASCII.test(token)) return headers;
  return { ...headers, Authorization: `Bearer ${token}` };
}

function upgrade(url, options, signal, onOpen) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { ...options, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
    const stop = () => ws.terminate();
    const settle = (settled, value) => {
      signal.removeEventListener('abort', stop);
      settled(value);
    };
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    // Stays for the socket's whole life: every error is followed by 'close', which decides what happens next.
    ws.on('error', (error) => settle(reject, error));
    ws.once('unexpected-response', (request, response) => {
      const { statusCode, headers } = response;
      const error = new Error(`The server answered the upgrade with ${statusCode}`);
      error.statusCode = statusCode;
      if (statusCode === 429 || statusCode === 503) error.retryAfterMs = retryAfterMs(headers['retry-after']);
      settle(reject, error);
      request.destroy();
    });
    ws.once('open', () => {
      onOpen(ws);
      settle(resolve);
    });
  });
}

module.exports = { openSocket };
