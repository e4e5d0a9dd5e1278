'use strict';

// A server with a status page, and what a browser would ask of it.

const http = require('node:http');
const { once } = require('node:events');
const { statusPage } = require('../../../lib/status/index.js');
const { onCleanup } = require('../../support/cleanup.js');
const { request } = require('../../support/http.js');
const { startServer } = require('../../support/server.js');

/** A server that listens, with a status page on it. */
function startStatus(options, serverOptions) {
  return startServer(serverOptions, (server) => server.addHttpHandler(statusPage(server, options)));
}

/** An answer, read to its end: `{ status, headers, text, json }`. */
async function get(port, path, headers, options = {}) {
  const answer = await request(port, { path, headers, ...options });
  try {
    answer.json = JSON.parse(answer.text);
  } catch {
    // The page isn't.
  }
  return answer;
}

const statusOf = async (port, path = '/status.json') => (await get(port, path)).json;

function act(port, body, headers = {}, path = '/status/actions') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return get(port, path, { 'Content-Type': 'application/json', ...headers }, { method: 'POST', body: text });
}

/** A stream of events: `next()` resolves with the data of the next one, parsed, `ended` when the stream is over. */
async function openEvents(port, headers = {}, path = '/status/events') {
  const req = http.get({ port, host: '127.0.0.1', path, headers, agent: false });
  onCleanup(() => req.destroy());
  const [res] = await once(req, 'response');
  const ended = new Promise((resolve) => res.on('close', resolve));
  res.on('error', () => {});
  const events = [];
  const readers = [];
  let text = '';
  res.setEncoding('utf8').on('data', (data) => {
    const whole = (text + data).split('\n\n');
    text = whole.pop();
    for (const event of whole) {
      const parsed = JSON.parse(/^data: (.*)$/m.exec(event)[1]);
      if (readers.length > 0) readers.shift()(parsed);
      else events.push(parsed);
    }
  });
  const next = () =>
    events.length > 0 ? Promise.resolve(events.shift()) : new Promise((resolve) => readers.push(resolve));
  return { req, res, status: res.statusCode, headers: res.headers, next, ended };
}

/** The next event that has this member. */
async function nextWith(stream, member) {
  for (;;) {
    const event = await stream.next();
    if (event[member] !== undefined) return event;
  }
}

module.exports = { act, get, nextWith, openEvents, startStatus, statusOf };
