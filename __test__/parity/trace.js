'use strict';

// Runs a scenario on one implementation and writes down all that can be seen of it: handler calls, log lines and answers
// in one order, and for each client the frames on the wire and how it was closed. What differs from run to run by nature
// (uuids, times, ports) is replaced, so that two traces can be compared.

const { createServer } = require('../support/server.js');
const { WorkerClient } = require('../support/worker.js');

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;
const TIME = /"(?!1970-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g;
const CLOSED = ['Worker disconnected', 'Unregistered WebSocket connection closed'];

/** JSON that shows Sets and Maps, and distinguishes undefined from missing and -0 from 0. */
function show(value) {
  return JSON.stringify(value, (key, inner) => {
    // The collections may come from another realm than this file's.
    const kind = Object.prototype.toString.call(inner);
    if (kind === '[object Set]') return { Set: [...inner] };
    if (kind === '[object Map]') return { Map: [...inner] };
    if (inner === undefined) return '<undefined>';
    return Object.is(inner, -0) ? '<-0>' : inner;
  });
}

/** In a log line's context neither the order matters, nor whether a field is missing or undefined. */
function sorted(context) {
  if (context === undefined) return undefined;
  const entries = Object.entries(context).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Trace {
  constructor(implementation, options) {
    const { server, log } = createServer(options, implementation);
    this.server = server;
    this.log = log;
    this.events = [];
    this.clients = {};
    this.uuids = new Map();
    this.frozen = false;
    for (const level of ['debug', 'info', 'warn', 'error']) {
      const inner = log[level];
      log[level] = (message, context) => {
        if (!this.frozen || message.endsWith('server stopped')) this.note(`${level}: ${message}`, sorted(context));
        inner(message, context);
      };
    }
    server.onWorkerConnected((...args) => this.note('connected', ...args));
    server.onWorkerDisconnected((...args) => this.note('disconnected', ...args));
    server.onWorkerMessage('x', (...args) => this.note('message', ...args));
  }

  note(what, ...details) {
    this.events.push(this.normal([what, ...details.map(show)].join(' ')));
  }

  normal(text) {
    return text
      .replace(TIME, '"<time>"')
      .replace(UUID, (uuid) => {
        if (!this.uuids.has(uuid)) this.uuids.set(uuid, `<uuid ${this.uuids.size + 1}>`);
        return this.uuids.get(uuid);
      })
      .replace(/"port":[1-9]\d*/g, '"port":"<port>"')
      .replace(/"timeSinceHeartbeat":[\d.]+/g, '"timeSinceHeartbeat":"<ms>"')
      .replace(/^(error: Worker WebSocket error) .*/, '$1 <text>');
  }

  /** A connected client, whose frames and closing are part of the trace under this name. */
  async connect(name, options) {
    const client = new WorkerClient(this.server, options);
    this.clients[name] = client;
    await client.opened;
    const count = Object.keys(this.clients).length;
    const potential = () => this.log.contexts('New WebSocket connection from potential worker').length;
    await this.log.until(() => potential() === count);
    return client;
  }

  /** A connected and registered client. */
  async worker(name, id = name, fields = {}, options = {}) {
    const client = await this.connect(name, options);
    client.ack = await client.register(id, fields);
    return client;
  }

  /** Resolves when the server has seen `count` connections end. */
  ended(count) {
    return this.log.until(() => this.log.lines.filter(({ message }) => CLOSED.includes(message)).length >= count);
  }

  /** Calls a method of the server and notes the answer. */
  ask(method, ...args) {
    let answer;
    try {
      answer = this.server[method](...args);
    } catch (thrown) {
      answer = `${thrown.name} thrown`;
    }
    this.note(
      method,
      args.map((arg) => (typeof arg === 'object' ? '<object>' : arg)),
      answer,
    );
    return answer;
  }

  /** Notes the answers to all questions. */
  askAll(models = ['model-a'], categories = [undefined]) {
    for (const method of ['getWorkerCount', 'getAvailableWorkerCount', 'getAnyAvailableWorker', 'getWorkerInfo']) {
      this.ask(method);
    }
    for (const model of models) {
      for (const category of categories) {
        this.ask('getAvailableWorker', model, category);
        this.ask('getAvailableSlotCount', model, category);
      }
    }
  }

  async finish() {
    for (const client of Object.values(this.clients)) {
      if (client.ws.readyState === client.ws.OPEN) await client.sync();
    }
    this.frozen = true;
    await this.server.stop();
    const clients = {};
    for (const [name, client] of Object.entries(this.clients)) {
      const { protocol, extensions } = client.ws;
      const closing = await client.closed;
      clients[name] = { frames: client.frames.map((frame) => this.normal(frame)), protocol, extensions, ...closing };
    }
    return { events: this.events, clients };
  }
}

/** What a scenario `{ options?, run(trace) }` leaves to be seen on an implementation. */
async function traceOf(implementation, { options, run }) {
  const trace = new Trace(implementation, options);
  await trace.server.start();
  await run(trace);
  return trace.finish();
}

module.exports = { traceOf };
