'use strict';

// A server with a gateway, and its clients: Node's own, so that every byte and header can be looked at.

const http = require('node:http');
const { once } = require('node:events');
const { openaiGateway } = require('../../../lib/gateway/index.js');
const { onCleanup } = require('../../support/cleanup.js');
const { readAll } = require('../../support/http.js');
const { startServer } = require('../../support/server.js');

const CHAT = '/v1/chat/completions';

/** A server that listens, with a gateway on it. */
function startGateway(options, serverOptions) {
  return startServer(serverOptions, (server) => server.addHttpHandler(openaiGateway(server, options)));
}

/** A request whose answer has begun: Node's own `res`. What `body` is becomes JSON, unless it is a string or bytes. */
async function open(port, { method = 'POST', path = CHAT, body = { model: 'm' }, headers = {}, ...more } = {}) {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const json = method === 'POST' ? { 'Content-Type': 'application/json' } : {};
  const req = http.request({
    port,
    host: '127.0.0.1',
    agent: false,
    method,
    path,
    headers: { ...json, ...headers },
    ...more,
  });
  onCleanup(() => req.destroy());
  req.on('error', () => {});
  req.end(method === 'POST' ? text : undefined);
  const [res] = await once(req, 'response');
  res.on('error', () => {});
  return res;
}

/** The same, read to its end: `{ status, headers, text, json }`. */
async function ask(port, options) {
  const res = await open(port, options);
  const text = (await readAll(res)).toString();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // Not every answer is.
  }
  return { status: res.statusCode, headers: res.headers, text, json };
}

const get = (port, path, headers) => ask(port, { method: 'GET', path, headers });

const STREAM = Object.freeze({ model: 'm', stream: true });

/** A request for a stream that nobody waits for yet: what `open` returns. */
const openStream = (port, body = {}, options = {}) => open(port, { body: { ...STREAM, ...body }, ...options });

/** Asks again and again: resolves with the first answer for which `test` holds. */
async function nextData(res, test) {
  let text = '';
  for await (const data of res) {
    text += data;
    if (test(text)) return text;
  }
  throw new Error(`it ended with ${text}`);
}

module.exports = { CHAT, STREAM, ask, get, nextData, open, openStream, startGateway };
