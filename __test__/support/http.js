'use strict';

// HTTP requests by Node's own client.

const { once } = require('events');
const { http } = require('./transport.js');

/** Reads a whole stream. */
async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A request whose response was read to its end: `{ status, headers, body, text }`. */
async function request(port, { body, host = '127.0.0.1', ...options } = {}) {
  const req = http.request({ port, host, agent: false, ...options });
  req.end(body);
  const [res] = await once(req, 'response');
  const bytes = await readAll(res);
  return { status: res.statusCode, headers: res.headers, body: bytes, text: bytes.toString() };
}

/** A handler that answers each request with 200 and this text. */
function answering(text) {
  return async (req, res) => {
    res.end(text);
    return true;
  };
}

module.exports = { request, readAll, answering };
