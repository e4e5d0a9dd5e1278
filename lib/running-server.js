'use strict';

const { performance } = require('node:perf_hooks');
const { setImmediate } = require('node:timers');

const { Batch, TEXTS, MESSAGE, REGISTER, CLOSED, CONNECTION, LOG, STOPPED } = require('./batch.js');
const { Departures } = require('./departures.js');
const { writeLine } = require('./handlers.js');
const { unknownWorkerInfo } = require('./worker-info.js');
const { WorkerRecord } = require('./worker-record.js');
const { Requests } = require('./requests.js');
const { HttpFront } = require('./http-front.js');
const { LEVELS, limitedLogger } = require('./limited-logger.js');
const { listenError } = require('./listen-error.js');
const { LOOK_IN_TURN_US, Lookout } = require('./lookout.js');
const native = require('./native.js');
const { parse } = require('./joined-texts.js');

/** Doubles for each worker's state. */
const ROW_FIELDS = 5;

/** How long events are handled before the event loop has its turn. */
const SLICE_MS = 1;
/** After so many events at once more are likely: then it pays to look again after a turn rather than to be woken. */
const BUSY_EVENTS = 64;
/** Events in one turn: at least, to begin with, and at most. */
const MIN_QUOTA = 8;
const FIRST_QUOTA = 64;
const MAX_QUOTA = 16 * 1024;

/** Of the class, which tests that replace `performance.now` leave alone. */
const now = Object.getPrototypeOf(performance).now.bind(performance);

/** A `WorkerServer` between its start and its stop. */
class RunningServer {
  #native;
  #handlers;
  #logger;
  /** For lines that any peer can cause. Workers that come and go, and what the application does wrong, are always told. */
  #limitedLogger;
  #graceMs;
  #front;
  #relay;
  /** Registered workers by key, in the order of their registration, by id, and by connection. */
  #workers = new Map();
  #byId = new Map();
  #byPeer = new Map();
  /** Connections that were told to stay though they did not register. */
  #kept = new Set();
  /** Where the native side writes the state of one worker. */
  #row;
  /** Where it writes a batch of events, and what is left of that. */
  #fields = new Float64Array(native.BATCH_FIELDS);
  #batch = null;
  /** When the last turn of handling began and how many events it had, and how many the next may have. */
  #round = null;
  #quota = FIRST_QUOTA;
  #drainAgain = () => {
    this.#learn(this.#round);
    this.#drain();
  };
  #lookout = new Lookout();
  #drainNow = () => this.#drain();
  #lookAgain = () => this.#drain(LOOK_IN_TURN_US);
  #departures;
  #requests;
  #stopped = null;
  #onStopped = null;

  /**
   * @param options as `readOptions` gives them, with an IP address, if anything, as `host`
   * @throws what Node's `listen` gives, if the port can't be bound
   */
  constructor({ options, handlers, httpHandlers, endpoints, relay }) {
    const { logger, ...settings } = options;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#graceMs = options.limits.stopGraceMs;
    try {
      this.#native = new native.NativeServer({ ...settings, relayPort: relay?.port }, this.#drainNow);
    } catch (error) {
      throw listenError(error, options.host ?? '::', options.port);
    }
    this.#row = this.#native.row();
    this.#limitedLogger = options.logging
      ? limitedLogger(logger, (level, message) => this.#native.admitsLine(level, message))
      : logger;
    this.#departures = new Departures(this.#native, options.limits.maxQueuedBytes);
    this.#requests = new Requests(this.#native, this.#departures);
    for (const path of endpoints.keys()) this.#native.addEndpoint(path);
    this.#front = new HttpFront({
      handlers: httpHandlers,
      endpoints,
      limits: options.limits,
      logger,
      limitedLogger: this.#limitedLogger,
      takeBack: (fd, head) => this.#native.takeBack(fd, head),
    });
    this.#relay = relay;
    relay?.deliver((socket) => this.#front.accept(socket), (port) => this.#native.relayedFrom(port));
  }

  get port() {
    return this.#native.port;
  }

  get stopping() {
    return this.#stopped !== null;
  }

  addEndpoint(path) {
    this.#native.addEndpoint(path);
  }

  send(workerId, text) {
    const record = this.#byId.get(workerId);
    return record !== undefined && this.#departures.send(record, text);
  }

  broadcast(text) {
    this.#departures.broadcast(text);
  }

  select(model, category) {
    return this.#found(this.#native.select(model, category));
  }

  selectAny() {
    return this.#found(this.#native.selectAny());
  }

  freeSlots(model, category) {
    return this.#native.freeSlots(model, category);
  }

  get workerCount() {
    return this.#native.workerCount();
  }

  get availableCount() {
    return this.#native.availableCount();
  }

  workers() {
    const rows = this.#native.workers();
    const infos = [];
    for (let at = 0; at < rows.length; at += ROW_FIELDS) {
      const record = this.#workers.get(rows[at]);
      record?.update(rows, at);
      if (record !== undefined) infos.push(record.toInfo());
    }
    return infos;
  }

  track(workerId, requestId, category) {
    const record = this.#byId.get(workerId);
    if (record !== undefined) this.#requests.track(record, requestId, category);
  }

  release(requestId, incrementCompleted) {
    this.#requests.release(requestId, incrementCompleted);
  }

  /** Ends when every connection is gone, or cut after the grace period. */
  stop() {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop() {
    const gone = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
    this.#departures.leave();
    this.#native.stop();
    this.#workers.clear();
    this.#byId.clear();
    this.#byPeer.clear();
    this.#requests.clear();
    await Promise.all([gone, this.#front.close(this.#graceMs)]);
    this.#relay?.close();
    this.#departures.close();
    this.#native.shutDown();
  }

  /** The info of the worker whose row was written, if one was. */
  #found(written) {
    if (!written) return null;
    const record = this.#workers.get(this.#row[0]);
    record?.update(this.#row, 0);
    return record?.toInfo() ?? null;
  }

  // ---- Events ----

  /**
   * Handles events until there are none, or until it is the event loop's turn; then it goes on when that has turned. The native
   * side calls it once, and again only after it was told that nobody will come by itself: not while it is looked for more. For
   * the first of them it waits up to `lookUs` microseconds.
   */
  #drain(lookUs = 0) {
    const begun = now();
    const end = begun + SLICE_MS;
    let time = begun;
    let handled = 0;
    for (;;) {
      if (this.#batch === null) {
        const isBusy = handled >= BUSY_EVENTS;
        const looksOn = !isBusy && this.#lookout.goesOn(time);
        this.#batch = this.#fetch(isBusy || looksOn, handled === 0 ? lookUs : 0);
        if (this.#batch === null) {
          if (isBusy) this.#goOnLater(begun, handled);
          else if (looksOn) setImmediate(this.#lookAgain);
          return;
        }
        this.#lookout.onEvents(time, this.#departures.takeHasSent());
      }
      const batch = this.#batch;
      handled += this.#departures.during(() => this.#handle(batch, end, this.#quota - handled));
      const { isDone } = batch;
      if (isDone) this.#batch = null;
      time = now();
      this.#lookout.onHandled(time);
      if (!isDone || time > end) {
        this.#goOnLater(begun, handled);
        return;
      }
    }
  }

  #goOnLater(begun, handled) {
    this.#round = { begun, handled };
    setImmediate(this.#drainAgain);
  }

  /**
   * Learns from the last turn how many events fit into one. What handlers do after an `await` comes when they have returned, and
   * is seen only by how long the whole turn took.
   */
  #learn({ begun, handled }) {
    const took = now() - begun;
    if (took <= SLICE_MS) this.#quota = Math.min(this.#quota * 2, MAX_QUOTA);
    else this.#quota = Math.max(MIN_QUOTA, Math.floor((handled * SLICE_MS) / took));
  }

  /** Takes a batch from the native side; `null` if there is none, and none comes within `lookUs` microseconds. */
  #fetch(returns, lookUs) {
    const fields = this.#fields;
    const joined = this.#native.drain(returns, lookUs, fields);
    if (joined === null) return null;
    const [eventsEnd, rowsEnd, extras] = fields;
    for (let at = eventsEnd; at < rowsEnd; at += ROW_FIELDS) this.#workers.get(fields[at])?.update(fields, at);
    return new Batch(fields, eventsEnd, joined, extras > 0 ? this.#native.takeExtras() : null);
  }

  /** Handles a batch, or as much of it as there is time for, and at most `quota` events. Returns how many. */
  #handle(batch, end, quota) {
    let handled = 0;
    while (handled < quota && !batch.isDone) {
      this.#handleEvent(batch.take(), batch);
      handled += 1;
      if (now() > end) break;
    }
    return handled;
  }

  #handleEvent(kind, { peer, message, a, b, extras }) {
    switch (kind) {
      case TEXTS:
        if (!this.stopping) this.#onMessage(peer, message);
        break;
      case MESSAGE:
        if (!this.stopping) this.#onMessage(peer, parse(extras[a]));
        break;
      case REGISTER:
        if (!this.stopping) this.#onRegister(peer, extras[a]);
        break;
      case CLOSED:
        if (!this.stopping) this.#onClosed(peer, a, extras[b]);
        break;
      case CONNECTION:
        this.#front.acceptDescriptor(this.#native.takeSocket(a), extras[b]);
        break;
      case LOG:
        writeLine(this.#logger, LEVELS[a], extras[b], extras[b + 1]);
        break;
      case STOPPED:
        this.#onStopped();
        break;
    }
  }

  #onMessage(peer, message) {
    if (message === undefined) {
      this.#limitedLogger.warn('Invalid JSON message from worker');
      return;
    }
    const record = this.#byPeer.get(peer);
    const getInfo = () => record?.toSharedInfo() ?? unknownWorkerInfo();
    const taken = this.#handlers.message(message, getInfo, this.#limitedLogger);
    if (taken && record === undefined && !this.#kept.has(peer)) {
      this.#kept.add(peer);
      this.#native.keepUnregistered(peer);
    }
  }

  #onRegister(peer, text) {
    // What was sent to the worker's old session comes before the answer to the new one.
    this.#departures.cross();
    for (const record of this.#displace(peer)) {
      this.#logger.debug('Replacing existing worker connection', { workerId: record.id });
      this.#handlers.replaced(record);
    }
    // A handler may have stopped the server.
    const registered = this.stopping ? null : this.#native.register(peer);
    if (registered === null) return;
    const { capabilities } = JSON.parse(text);
    const record = new WorkerRecord(peer, registered, capabilities, this.#row);
    this.#workers.set(record.key, record);
    this.#byId.set(record.id, record);
    this.#byPeer.set(peer, record);
    this.#kept.delete(peer);
    this.#logger.debug('Worker registered', {
      workerId: record.id,
      workerName: record.name,
      models: capabilities.models.map((model) => model.modelId),
      maxConcurrentRequests: capabilities.maxConcurrentRequests,
    });
    this.#handlers.connected(() => record.toInfo());
  }

  /** The records of the workers that leave since a peer registers. */
  #displace(peer) {
    const rows = this.#native.displace(peer);
    const records = [];
    for (let at = 0; at < rows.length; at += ROW_FIELDS) {
      const record = this.#workers.get(rows[at]);
      record.update(rows, at);
      this.#remove(record);
      records.push(record);
    }
    return records;
  }

  #onClosed(peer, code, reason) {
    this.#kept.delete(peer);
    const record = this.#byPeer.get(peer);
    const departed = this.#native.depart(peer);
    if (record === undefined) {
      this.#limitedLogger.debug('Unregistered WebSocket connection closed', { code, reason });
      return;
    }
    if (departed) record.update(this.#row, 0);
    this.#remove(record);
    const workerId = record.id;
    const count = record.pendingRequests.size;
    if (count > 0) this.#logger.warn('Worker disconnected with pending requests', { workerId, count });
    this.#logger.debug('Worker disconnected', { workerId, code, reason });
    this.#handlers.disconnected(record.toInfo(), new Set(record.pendingRequests));
  }

  #remove(record) {
    this.#workers.delete(record.key);
    this.#byId.delete(record.id);
    this.#byPeer.delete(record.peer);
    record.peer = null;
    this.#requests.forget(record);
  }
}

module.exports = { RunningServer };
