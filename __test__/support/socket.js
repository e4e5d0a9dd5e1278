'use strict';

// WebSocket peers on the npm package `ws`.

const WebSocket = require('ws');
const { once } = require('events');
const { onCleanup } = require('./cleanup');
const { registration } = require('./raw');
const { clientOptions, webSocketScheme } = require('./transport');

/**
 * An open WebSocket. `next()` returns its messages one by one as text, `nextJson()` as values; `closed` resolves with
 * `{ code, reason }`.
 */
async function openSocket(port, path = '/', options = {}) {
  const ws = new WebSocket(`${webSocketScheme}://127.0.0.1:${port}${path}`, { ...clientOptions, ...options });
  onCleanup(() => ws.terminate());
  const messages = [];
  const waiting = [];
  ws.on('message', (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    if (waiting.length > 0) waiting.shift()(message);
    else messages.push(message);
  });
  const closed = new Promise((resolve) => {
    ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(ws, 'open');
  ws.on('error', () => {});
  const next = () =>
    messages.length > 0 ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve));
  return {
    ws,
    closed,
    messages,
    next,
    nextJson: async () => JSON.parse(await next()),
    send: (value) => ws.send(JSON.stringify(value)),
  };
}

/** A registered worker: an open socket with its `ack`. */
async function openWorker(port, workerId, more = {}, path = '/') {
  const peer = await openSocket(port, path);
  peer.send(registration(workerId, more));
  peer.ack = await peer.nextJson();
  return peer;
}

/** Resolves with the status of the response to an upgrade that must be refused. */
async function refusedUpgrade(port, path = '/') {
  const ws = new WebSocket(`${webSocketScheme}://127.0.0.1:${port}${path}`, clientOptions);
  onCleanup(() => ws.terminate());
  ws.on('error', () => {});
  const [, response] = await once(ws, 'unexpected-response');
  return response.statusCode;
}

module.exports = { openSocket, openWorker, refusedUpgrade };
