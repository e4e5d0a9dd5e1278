'use strict';

// What the page knows of the server: the state that a stream began with, and what has changed since.

/** What is kept of the intervals; the server sends as many. */
const INTERVALS = 120;
const MAX_LOSSES = 100;

class Store {
  state = '';
  version = '';
  /** When the server started, as the server counts time. */
  startedAt = 0;
  /** By id, each with `heartbeatAt` for its age, and `searched`: all that a filter looks at, in lower case. */
  workers = new Map();
  queue = { size: 0, bytes: 0, oldestMs: 0, byModel: {} };
  /** By id, each with `startedAt` for its age; the oldest first. */
  requests = new Map();
  history = [];
  /** The last one first. */
  losses = [];
  nodes = null;
  actions = false;
  /** Which page the server has. */
  page = '';
  /** Counts how often workers came, went, or changed in what they are sorted and filtered by. */
  generation = 0;
  #at = 0;
  #receivedAt = 0;

  /** The server's time, in ms. */
  now() {
    return this.#at + (performance.now() - this.#receivedAt);
  }

  /** @param message An event of the stream. The first has all, and so has a `version`. */
  apply(message) {
    this.#at = Date.parse(message.at);
    this.#receivedAt = performance.now();
    if (message.version !== undefined) this.#reset(message);
    if (message.state !== undefined) this.state = message.state;
    if (message.queue !== undefined) this.queue = { ...this.queue, ...message.queue };
    if (message.nodes !== undefined) this.nodes = message.nodes;
    this.#applyWorkers(message.workers ?? [], message.gone?.workers ?? []);
    this.#applyRequests(message.requests ?? [], message.gone?.requests ?? []);
    for (const entry of message.history ?? []) this.#applyInterval(entry);
    this.losses.unshift(...(message.losses ?? []).toReversed());
    this.losses.length = Math.min(this.losses.length, MAX_LOSSES);
  }

  #reset({ version, uptimeMs, actions, page }) {
    this.version = version;
    this.startedAt = this.#at - uptimeMs;
    this.actions = actions;
    this.page = page;
    this.workers.clear();
    this.requests.clear();
    this.history = [];
    this.losses = [];
    this.generation += 1;
  }

  #applyWorkers(rows, gone) {
    for (const id of gone) this.workers.delete(id);
    for (const row of rows) {
      let worker = this.workers.get(row.id);
      if (worker === undefined) {
        worker = {};
        this.workers.set(row.id, worker);
      }
      Object.assign(worker, row);
      if (row.heartbeatAgeMs !== undefined) worker.heartbeatAt = this.#at - row.heartbeatAgeMs;
      if (row.connectedAt !== undefined) worker.connectedTime = Date.parse(row.connectedAt);
      if (row.name !== undefined || row.models !== undefined || row.address !== undefined) {
        worker.searched = [worker.name, worker.id, worker.address ?? '', ...worker.models].join('\n').toLowerCase();
      }
    }
    if (rows.length > 0 || gone.length > 0) this.generation += 1;
  }

  #applyRequests(rows, gone) {
    for (const id of gone) this.requests.delete(id);
    for (const row of rows) {
      let request = this.requests.get(row.requestId);
      if (request === undefined) {
        request = {};
        this.requests.set(row.requestId, request);
      }
      Object.assign(request, row);
      if (row.ageMs !== undefined) request.startedAt = this.#at - row.ageMs;
    }
  }

  #applyInterval(entry) {
    const last = this.history.at(-1);
    if (last?.at === entry.at) this.history[this.history.length - 1] = entry;
    else this.history.push(entry);
    if (this.history.length > INTERVALS) this.history.shift();
  }
}

module.exports = { Store };
