'use strict';

// HTTP requests for as long as they take. No redirect is followed, no connection is used twice, so that one which the
// other end has closed meanwhile is never mistaken for a failure, and a proxy from the environment plays no part.

const http = require('node:http');
const https = require('node:https');

const CONNECT_MS = 10_000;
/** A connection that is silent for this time is probed by the system, in ms. */
const KEEP_ALIVE_MS = 30_000;

/**
 * Resolves with the response as soon as its head is there, whatever its status.
 *
 * @param {URL} url
 * @param {{ method?: string, headers?: Record<string, string>, body?: string, signal?: AbortSignal }} options
 * @returns {Promise<import('node:http').IncomingMessage>} rejects with an Error whose `connected` says whether the
 *   request may have arrived
 */
function send(url, { method = 'GET', headers = {}, body, signal } = {}) {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options = { method, headers: { ...headers, ...length }, agent: false, signal };
    let connected = false;
    const req = (secure ? https : http).request(url, options, resolve);
    const timer = setTimeout(() => req.destroy(new Error('no connection in time')), CONNECT_MS);
    req.on('socket', (socket) => {
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        connected = true;
        clearTimeout(timer);
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
      });
    });
    // After the response it stays, for errors of the response as well.
    req.on('error', (error) => {
      clearTimeout(timer);
      reject(Object.assign(error, { connected }));
    });
    req.on('close', () => clearTimeout(timer));
    req.end(body);
  });
}

/**
 * The body of a response as text.
 *
 * @throws an Error with the code `TOO_LARGE` beyond `maxBytes`, or of the connection that broke off
 */
async function readText(res, maxBytes) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of res) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw Object.assign(new Error(`more than ${maxBytes} bytes`), { code: 'TOO_LARGE' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

module.exports = { readText, send };
