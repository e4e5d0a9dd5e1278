'use strict';

// Workers over wss, on the npm package `ws`.

const { once } = require('events');
const { WebSocket } = require('ws');
const { onCleanup } = require('./cleanup');
const { registration } = require('./raw');

/** A registered worker: `next()` resolves with its next message, `closed` with code and reason. */
async function connectOver(port, workerId, options = {}) {
  const ws = new WebSocket(`wss://localhost:${port}/`, options);
  onCleanup(() => ws.terminate());
  const messages = [];
  const waiting = [];
  ws.on('message', (data) => {
    const message = JSON.parse(data);
    if (waiting.length > 0) waiting.shift()(message);
    else messages.push(message);
  });
  const next = () =>
    messages.length > 0 ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve));
  const closed = new Promise((resolve) =>
    ws.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  await once(ws, 'open');
  ws.on('error', () => {});
  const send = (message) => ws.send(JSON.stringify(message));
  send(registration(workerId, options.registration));
  const ack = await next();
  if (!ack.success) throw new Error(JSON.stringify(ack));
  return { ws, next, send, closed, ack };
}

module.exports = { connectOver };
