'use strict';

const cluster = require('node:cluster');
const dns = require('node:dns/promises');

const { Handlers, SILENT_LOGGER, requireFunction, wrongType } = require('../workers/handlers.js');
const { readOptions } = require('./options.js');
const { readPerMessageDeflate } = require('./per-message-deflate.js');
const { Relay } = require('./relay.js');
const { RunningServer } = require('./running-server.js');
const { Serializer } = require('./serializer.js');

function requireString(value, name) {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value);
}

/** An optional argument that JavaScript callers also leave out by giving null. */
function optionalString(value, name) {
  if (value === undefined || value === null) return undefined;
  requireString(value, name);
  // As the native side knows it, so that a category is counted under one name.
  return value.toWellFormed();
}

/** See `index.d.ts` for what each member does. */
class WorkerServer {
  #options;
  #handlers;
  #httpHandlers = [];
  #endpoints = new Map();
  #serializer = new Serializer();
  /** The running server, from a start to the end of its stop. */
  #running = null;
  /** The start that is under way. */
  #starting = null;

  constructor(options) {
    this.#options = readOptions(options);
    this.#options.logging = this.#options.logger !== SILENT_LOGGER;
    this.#handlers = new Handlers(this.#options.logger);
  }

  get port() {
    return this.#running?.port ?? this.#options.port;
  }

  async start() {
    if (this.#running !== null || this.#starting !== null) throw new Error('WorkerServer is already running');
    this.#starting = this.#start();
    try {
      await this.#starting;
    } finally {
      this.#starting = null;
    }
  }

  async #start() {
    const options = { ...this.#options };
    let relay;
    try {
      // Processes of a cluster share their ports, where the system lets them. Asked for where it does not, it is an error.
      options.reusePort ||= cluster.isWorker && process.platform !== 'win32';
      if (options.host !== undefined) options.host = (await dns.lookup(options.host)).address;
      if (Relay.isNeeded()) relay = await Relay.listen();
      this.#running = new RunningServer({
        options,
        handlers: this.#handlers,
        httpHandlers: this.#httpHandlers,
        endpoints: this.#endpoints,
        relay,
      });
    } catch (error) {
      relay?.close();
      options.logger.error('HTTP server error', { error: error.message });
      throw error;
    }
    options.logger.debug('HTTP + WebSocket server started', { port: this.port });
  }

  async stop() {
    // A start that looks a host name up, say, would otherwise come to its end behind the stop's.
    if (this.#starting !== null) await this.#starting.catch(() => {});
    const running = this.#running;
    if (running === null) return;
    const first = !running.stopping;
    await running.stop();
    if (!first) return;
    this.#running = null;
    this.#endpoints.clear();
    this.#options.logger.debug('HTTP + WebSocket server stopped');
  }

  onWorkerConnected(handler) {
    return this.#handlers.onConnected(handler);
  }

  onWorkerDisconnected(handler) {
    return this.#handlers.onDisconnected(handler);
  }

  onWorkerMessage(type, handler) {
    return this.#handlers.onMessage(type, handler);
  }

  send(workerId, message) {
    // Ids often come from messages; what is no id is simply unknown.
    if (typeof workerId !== 'string') return false;
    let text;
    try {
      text = this.#serializer.write(message);
    } catch {
      return false;
    }
    return text !== undefined && (this.#running?.send(workerId, text) ?? false);
  }

  broadcast(message) {
    const text = this.#serializer.write(message);
    if (text !== undefined) this.#running?.broadcast(text);
  }

  getAvailableWorker(model, category) {
    requireString(model, 'model');
    return this.#running?.select(model, optionalString(category, 'category')) ?? null;
  }

  getAnyAvailableWorker() {
    return this.#running?.selectAny() ?? null;
  }

  getAvailableSlotCount(model, category) {
    requireString(model, 'model');
    return this.#running?.freeSlots(model, optionalString(category, 'category')) ?? 0;
  }

  getWorkerCount() {
    return this.#running?.workerCount ?? 0;
  }

  getAvailableWorkerCount() {
    return this.#running?.availableCount ?? 0;
  }

  getWorkerInfo() {
    return this.#running?.workers() ?? [];
  }

  trackRequest(workerId, requestId, category) {
    if (typeof workerId !== 'string') return;
    this.#running?.track(workerId, requestId, optionalString(category, 'category'));
  }

  releaseRequest(requestId, options) {
    this.#running?.release(requestId, options?.incrementCompleted === true);
  }

  addHttpHandler(handler) {
    requireFunction(handler, 'handler');
    this.#httpHandlers.push(handler);
  }

  addWebSocketEndpoint(path, handler, options) {
    requireString(path, 'path');
    requireFunction(handler, 'handler');
    const [pathname] = path.split('?');
    this.#endpoints.set(pathname, { handler, perMessageDeflate: readPerMessageDeflate(options) });
    this.#running?.addEndpoint(pathname);
  }
}

module.exports = { WorkerServer };
