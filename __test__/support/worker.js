'use strict';

// A worker, on a real `ws` client.

const WebSocket = require('ws');
const { clientOptions, webSocketScheme } = require('./transport.js');

const opened = new Set();
let nextSync = 1;

const capabilitiesOf = (models = ['model-a'], maxConcurrentRequests = 2, more = {}) => ({
  models: models.map((modelId) => ({
    modelId,
    displayName: modelId.toUpperCase(),
    maxContextTokens: 4096,
    maxOutputTokens: 1024,
    supportsStreaming: true,
  })),
  maxConcurrentRequests,
  ...more,
});

const registrationOf = (workerId, fields = {}) => ({
  type: 'worker_registration',
  workerId,
  workerName: `Worker ${workerId}`,
  capabilities: capabilitiesOf(),
  ...fields,
});

class WorkerClient {
  constructor(server, { path = '/', protocols = [], ...options } = {}) {
    this.server = server;
    /** The texts of all frames that came, in order. */
    this.frames = [];
    this.unread = [];
    this.readers = [];
    this.ws = new WebSocket(`${webSocketScheme}://localhost:${server.port}${path}`, protocols, {
      ...clientOptions,
      ...options,
    });
    opened.add(this.ws);
    this.opened = new Promise((resolve, reject) => {
      this.ws.once('open', resolve);
      this.ws.once('error', reject);
    });
    this.opened.catch(() => {});
    /** Resolves with the close code and reason. */
    this.closed = new Promise((resolve) => {
      this.ws.once('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    this.ws.on('error', () => {});
    this.ws.on('message', (data) => this.take(String(data)));
  }

  take(text) {
    this.frames.push(text);
    const message = JSON.parse(text);
    const index = this.readers.findIndex(({ type }) => type === undefined || type === message?.type);
    if (index < 0) this.unread.push(message);
    else this.readers.splice(index, 1)[0].resolve(message);
  }

  /** The next message of a type (or of any) that no one has asked for yet. */
  next(type) {
    const index = this.unread.findIndex((message) => type === undefined || type === message?.type);
    if (index >= 0) return Promise.resolve(this.unread.splice(index, 1)[0]);
    return new Promise((resolve) => this.readers.push({ type, resolve }));
  }

  send(message) {
    this.ws.send(JSON.stringify(message));
  }

  sendText(text) {
    this.ws.send(text);
  }

  /** Registers and returns the acknowledgement. */
  register(workerId, fields) {
    this.id = workerId;
    const ack = this.next('worker_registration_ack');
    this.send(registrationOf(workerId, fields));
    return ack;
  }

  /** Sends a heartbeat and returns the acknowledgement. */
  heartbeat(timestamp = new Date().toISOString(), workerId = this.id) {
    const ack = this.next('heartbeat_ack');
    this.send({ type: 'heartbeat', workerId, timestamp });
    return ack;
  }

  /** Resolves, with the worker as handlers see it, when all messages sent so far have reached the handlers. */
  sync() {
    const n = nextSync++;
    const done = new Promise((resolve) => this.server.syncs.set(n, resolve));
    this.send({ type: 'sync', n });
    return done;
  }

  /** Closes, and waits for the end. */
  close(code = 1000, reason = '') {
    this.ws.close(code, reason);
    return this.closed;
  }

  /** Cuts the connection without a word. */
  die() {
    this.ws.terminate();
    return this.closed;
  }
}

/** A connected client that hasn't registered. */
async function connect(server, options) {
  const client = new WorkerClient(server, options);
  await client.opened;
  return client;
}

/** A registered worker; its acknowledgement is `client.ack`. */
async function connectWorker(server, workerId = 'w1', fields = {}, options = {}) {
  const client = await connect(server, options);
  client.ack = await client.register(workerId, fields);
  return client;
}

afterEach(() => {
  for (const ws of opened) ws.terminate();
  opened.clear();
});

module.exports = { WorkerClient, capabilitiesOf, connect, connectWorker, registrationOf };
