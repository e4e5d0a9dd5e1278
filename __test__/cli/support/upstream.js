'use strict';

// A stand-in for an OpenAI-compatible endpoint, which misbehaves as the test says and records each request.

const http = require('http');
const https = require('https');
const { once } = require('events');
const { onCleanup } = require('../../support/cleanup.js');
const { readAll } = require('../../support/http.js');

const sse = (data) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** How it answers by default: `{ echo: body }`, or a stream of three events. */
function answerWell(req, res, body) {
  if (body.stream !== true) return respond(res, 200, { echo: body });
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const n of [1, 2, 3]) res.write(sse({ n }));
  return res.end(sse('[DONE]'));
}

function respond(res, status, body, headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(text);
}

/**
 * @param behaviour `models`: ids, or a function that answers; `props`: the answer to /props or undefined; `answer`: answers
 *   a POST. They can be changed at any time. `tls`: a key and a certificate, with which it speaks HTTPS.
 */
async function startUpstream(behaviour = {}) {
  const upstream = { models: ['m'], props: undefined, answer: answerWell, requests: [], ...behaviour };
  const watchers = new Set();
  const sockets = new Set();
  const listener = async (req, res) => {
    const text = (await readAll(req).catch(() => '')).toString();
    const request = { method: req.method, url: req.url, headers: req.headers, text, closed: once(res, 'close') };
    upstream.requests.push(request);
    for (const look of [...watchers]) look();
    if (req.method === 'GET' && req.url === '/v1/models') listModels(req, res);
    else if (req.method === 'GET' && req.url === '/props' && upstream.props !== undefined)
      respond(res, 200, upstream.props);
    else if (req.method === 'POST' && req.url.startsWith('/v1/')) upstream.answer(req, res, JSON.parse(text));
    else respond(res, 404, { error: 'not here' });
  };
  const { tls } = behaviour;
  const server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const listModels = (req, res) => {
    if (typeof upstream.models === 'function') upstream.models(req, res);
    else respond(res, 200, { object: 'list', data: upstream.models.map((id) => ({ id, object: 'model' })) });
  };

  const listen = async (port) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address();
  upstream.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/v1`;
  /** Refuses connections, and cuts those that there are. */
  upstream.goAway = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  upstream.comeBack = () => listen(port);
  /** Resolves with the first request that fits, also one that came before. */
  upstream.request = (fits) =>
    new Promise((resolve) => {
      const look = () => {
        const found = upstream.requests.find(fits);
        if (found === undefined) return;
        watchers.delete(look);
        resolve(found);
      };
      watchers.add(look);
      look();
    });
  /** `METHOD URL` of all requests, each once, sorted. */
  upstream.called = () => [...new Set(upstream.requests.map(({ method, url }) => `${method} ${url}`))].sort();
  onCleanup(() => upstream.goAway());
  return upstream;
}

module.exports = { answerWell, respond, sse, startUpstream };
