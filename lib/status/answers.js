'use strict';

// How answers are sent: each with the headers that keep what it holds out of caches, other pages and their guesses.

const POLICY_OF_DATA = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS = Object.freeze({
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': POLICY_OF_DATA,
});

function send(res, status, type, text, headers = {}) {
  res.writeHead(status, {
    ...HEADERS,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  });
  res.end(res.req.method === 'HEAD' ? undefined : text);
}

function sendJson(res, status, body, headers) {
  send(res, status, 'application/json', `${JSON.stringify(body)}\n`, headers);
}

const sendError = (res, status, error, headers) => sendJson(res, status, { error }, headers);

module.exports = { HEADERS, send, sendError, sendJson };
