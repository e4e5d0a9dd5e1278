'use strict';

// The server's side of the protocol, as a test says it: what it answers to a registration, what it says and when, and
// how badly it behaves. It judges nothing: tests look at what the worker said.

const http = require('node:http');
const { once } = require('node:events');
const { WebSocketServer } = require('ws');
const { onCleanup } = require('../../support/cleanup.js');

/** One connection of a worker. */
class Connection {
  #waiting = [];
  #unread = [];

  constructor(ws, request, behaviour) {
    this.ws = ws;
    this.url = request.url;
    this.headers = request.headers;
    /** All messages that came, in order. */
    this.messages = [];
    this.closed = new Promise((resolve) =>
      ws.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    );
    ws.on('error', () => {});
    ws.on('message', (data) => this.#take(JSON.parse(String(data)), behaviour));
  }

  #take(message, behaviour) {
    this.messages.push(message);
    if (message.type === 'worker_registration') {
      this.registration = message;
      const ack = behaviour.ack(message, this);
      if (ack !== null) this.send(ack);
    } else if (message.type === 'heartbeat' && behaviour.acksHeartbeats) {
      this.send({
        type: 'heartbeat_ack',
        timestamp: message.timestamp,
        nextHeartbeatDeadline: new Date().toISOString(),
      });
    } else if (message.type === 'worker_status' && behaviour.acksStatus) {
      this.send({ type: 'worker_status_ack', status: message.status });
    } else if (/^request_(result|error)$/.test(message.type) && behaviour.settles) {
      this.send({ type: 'request_settled', requestId: message.requestId, attempt: message.attempt });
    }
    const index = this.#waiting.findIndex(({ fits }) => fits(message));
    if (index < 0) this.#unread.push(message);
    else this.#waiting.splice(index, 1)[0].resolve(message);
  }

  /** The next message of a type (or of one of several), of a request if one is named, that no one has asked for yet. */
  next(type, requestId) {
    const fits = (message) =>
      [type].flat().includes(message.type) && (requestId === undefined || message.requestId === requestId);
    const index = this.#unread.findIndex(fits);
    if (index >= 0) return Promise.resolve(this.#unread.splice(index, 1)[0]);
    return new Promise((resolve) => this.#waiting.push({ fits, resolve }));
  }

  /** All messages about a request that have come so far, without acks. */
  about(requestId) {
    return this.messages.filter((message) => message.requestId === requestId && message.type !== 'request_ack');
  }

  send(message) {
    this.sendText(JSON.stringify(message));
  }

  sendText(text) {
    this.ws.send(text);
  }

  request(requestId, more = {}) {
    this.send({ type: 'request', requestId, attempt: 1, stream: false, ...more });
  }

  /** Sends a request again and again, until the worker has a slot for it; returns the attempt that was taken. */
  async requestUntilTaken(requestId, more = {}) {
    for (let attempt = more.attempt ?? 1; ; attempt += 1) {
      this.request(requestId, { ...more, attempt });
      const { type } = await this.next(['request_ack', 'request_reject'], requestId);
      if (type === 'request_ack') return attempt;
    }
  }

  cancel(requestId, reason, attempt = 1) {
    this.send({ type: 'request_cancel', requestId, attempt, reason });
  }

  close(code, reason) {
    this.ws.close(code, reason);
    return this.closed;
  }

  /** Cuts the line: no close frame. */
  cut() {
    this.ws.terminate();
    return this.closed;
  }

  /** Reads no more, and says nothing: as if the cable had been pulled. */
  goDeaf() {
    this.ws.pause();
  }

  hearAgain() {
    this.ws.resume();
  }
}

class DifficultServer {
  #http;
  #wss;
  #connections = [];
  #waiting = [];
  #taken = 0;
  #sockets = new Set();

  /** How it behaves; a test may change any of it at any time. */
  behaviour = {
    acksHeartbeats: true,
    acksStatus: true,
    settles: true,
    /** Called with the upgrade's request: a number refuses it with that status, `{ status, headers }` too. */
    upgrade: () => undefined,
    ack: () => this.ackOf(),
  };

  features = ['request', 'resume'];
  heartbeatIntervalMs = 15_000;
  /** Heads of the upgrades that came, refused ones included. */
  upgrades = [];
  #sessions = 0;

  constructor() {
    this.#wss = new WebSocketServer({ noServer: true, maxPayload: 0 });
    this.#http = http.createServer();
    // Those that were upgraded, or never answered, are not the HTTP server's any more.
    this.#http.on('connection', (socket) =>
      this.#sockets.add(socket.once('close', () => this.#sockets.delete(socket))),
    );
    this.#http.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head));
  }

  async start(port = 0) {
    this.#http.listen(port, '127.0.0.1');
    await once(this.#http, 'listening');
    return this;
  }

  get port() {
    return this.#http.address().port;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}`;
  }

  ackOf(more = {}) {
    const ack = {
      type: 'worker_registration_ack',
      success: true,
      sessionId: `session-${++this.#sessions}`,
      heartbeatIntervalMs: this.heartbeatIntervalMs,
    };
    if (this.features.length > 0) ack.features = this.features;
    return { ...ack, ...more };
  }

  /** The next connection that no one has asked for yet, once it has registered. */
  async connection() {
    const index = this.#taken++;
    if (this.#connections[index] === undefined)
      await new Promise((resolve) => {
        this.#waiting[index] = resolve;
      });
    const connection = this.#connections[index];
    await connection.next('worker_registration');
    return connection;
  }

  #onUpgrade(request, socket, head) {
    this.upgrades.push({ url: request.url, headers: request.headers, at: performance.now() });
    const answer = this.behaviour.upgrade(request);
    // Left unanswered.
    if (answer === null) return;
    if (answer !== undefined) {
      const { status, headers = {} } = typeof answer === 'number' ? { status: answer } : answer;
      const lines = Object.entries({ Connection: 'close', 'Content-Length': 0, ...headers }).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      );
      socket.end(`HTTP/1.1 ${status} No\r\n${lines.join('')}\r\n`);
      return;
    }
    this.#wss.handleUpgrade(request, socket, head, (ws) => {
      const index = this.#connections.push(new Connection(ws, request, this.behaviour)) - 1;
      this.#waiting[index]?.();
    });
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

/** A difficult server that listens and is stopped after the test. `change` sets what is other than usual. */
async function startDifficultServer({ features, heartbeatIntervalMs, port, ...behaviour } = {}) {
  const server = new DifficultServer();
  if (features !== undefined) server.features = features;
  if (heartbeatIntervalMs !== undefined) server.heartbeatIntervalMs = heartbeatIntervalMs;
  Object.assign(server.behaviour, behaviour);
  await server.start(port);
  onCleanup(() => server.stop());
  return server;
}

module.exports = { startDifficultServer };
