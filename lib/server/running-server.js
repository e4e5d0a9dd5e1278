'use strict';

const { setImmediate } = require('node:timers');

const { Batch, TEXTS, MESSAGE, REGISTER, CLOSED, CONNECTION, LOG, STOPPED } = require('./event-batch.js');
const { now } = require('../workers/clock.js');
const { Submissions } = require('./submissions.js');
const { EventContext } = require('./event-context.js');
const { describeError, writeLine } = require('../workers/handlers.js');
const { unknownWorkerInfo } = require('../workers/worker-info.js');
const { WorkerRecord } = require('./worker-record.js');
const { Requests } = require('./tracked-requests.js');
const { HttpFront } = require('./http-front.js');
const { LEVELS, limitedLogger } = require('./limited-logger.js');
const { listenError } = require('./listen-error.js');
const { LOOK_IN_TURN_US, Lookout } = require('./lookout.js');
const native = require('../native/addon.js');
const { parse } = require('./joined-texts.js');
const { MEMORY_IS_SHARED, rowReader } = require('../native/shared-memory.js');

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

// As it was when this was loaded: tests replace it.
const { parse: parseJson } = JSON;

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
  /** Returns the state of one worker, as the native side has written it last. */
  #readRow;
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
  /** That in which the server was started. */
  #context = new EventContext();
  #drainNow = () => this.#drain();
  #lookAgain = () => this.#drain(LOOK_IN_TURN_US);
  #submissions;
  #requests;
  #stopped = null;
  #onStopped = null;

  /**
   * @param options as `readOptions` gives them, with an IP address, if anything, as `host`
   * @throws what Node's `listen` gives, if the port can't be bound; then nothing is left of what was begun
   */
  constructor({ options, handlers, httpHandlers, endpoints, relay }) {
    const { logger, ...settings } = options;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#graceMs = options.limits.stopGraceMs;
    this.#relay = relay;
    this.#limitedLogger = options.logging
      ? limitedLogger(logger, (level, message) => this.#native.admitsLine(level, message))
      : logger;
    // Before anything is bound.
    this.#front = new HttpFront({
      handlers: httpHandlers,
      endpoints,
      limits: options.limits,
      logger,
      limitedLogger: this.#limitedLogger,
      getNative: () => this.#native,
    });
    try {
      this.#bind(settings);
      this.#readRow = rowReader(this.#native);
      this.#submissions = new Submissions(this.#native, options.limits.maxQueuedBytes);
      this.#requests = new Requests(this.#native, this.#submissions);
      for (const path of endpoints.keys()) this.#native.addEndpoint(path);
      relay?.deliver(
        (socket) => this.#front.accept(socket),
        (port) => this.#native.relayedFrom(port),
        (error) => this.#limitedLogger.error('HTTP server error', { error: describeError(error) }),
      );
    } catch (error) {
      // Nothing of it may be left: not the port, the runtime and what keeps the process alive.
      this.#submissions?.close();
      this.#native?.abandon();
      this.#front.close(0);
      throw error;
    }
  }

  #bind(settings) {
    try {
      this.#native = new native.NativeServer(
        { ...settings, relayPort: this.#relay?.port, sharesMemory: MEMORY_IS_SHARED },
        this.#drainNow,
      );
    } catch (error) {
      throw listenError(error, settings.host, settings.port);
    }
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
    return record !== undefined && this.#submissions.send(record, text);
  }

  broadcast(text) {
    this.#submissions.broadcast(text);
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
    try {
      this.#submissions.leave();
    } finally {
      this.#native.stop();
    }
    this.#workers.clear();
    this.#byId.clear();
    this.#byPeer.clear();
    this.#requests.clear();
    try {
      await Promise.all([gone, this.#front.close(this.#graceMs)]);
    } finally {
      this.#relay?.close();
      this.#submissions.close();
      this.#context.close();
      this.#native.shutDown();
    }
  }

  /** The info of the worker whose row was written, if one was. */
  #found(written) {
    if (!written) return null;
    const row = this.#readRow();
    const record = this.#workers.get(row[0]);
    record?.update(row, 0);
    return record?.toInfo() ?? null;
  }

  // ---- Events ----

  /**
   * Handles events until there are none, or until it is the event loop's turn; then it goes on when that has turned. The native
   * side calls it once, and again only after it was told that nobody will come by itself: not while it is looked for more. For
   * the first of them it waits up to `lookUs` microseconds.
   *
   * The native side counts on it: whatever goes wrong, it is gone on.
   */
  #drain(lookUs = 0) {
    try {
      this.#drainSlice(lookUs);
    } catch (thrown) {
      this.#complain(undefined, thrown);
      this.#goOnLater(now(), 0);
    }
  }

  #drainSlice(lookUs) {
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
        this.#lookout.onEvents(time, this.#submissions.takeHasSent());
      }
      const batch = this.#batch;
      handled += this.#submissions.during(() => this.#handle(batch, end, this.#quota - handled));
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
    const handleNext = () => {
      this.#handleNext(batch);
      handled += 1;
      return handled < quota && !batch.isDone && !(now() > end);
    };
    if (quota > 0 && !batch.isDone) this.#context.repeat(handleNext);
    return handled;
  }

  /** Handles one event. What goes wrong with it goes wrong with no other. */
  #handleNext(batch) {
    let kind;
    try {
      kind = batch.take();
      this.#handleEvent(kind, batch);
    } catch (thrown) {
      if (kind === undefined) batch.abandon();
      this.#complain(kind, thrown);
    }
  }

  /** Something went wrong with an event of that kind, or, if it is undefined, before there was an event. */
  #complain(kind, thrown) {
    const context = { error: describeError(thrown) };
    if (kind === CONNECTION) this.#logger.error('HTTP server error', context);
    else this.#logger.error('Worker WebSocket error', context);
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
        this.#front.acceptNumbered(a, extras[b]);
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
    const { capabilities } = parseJson(text);
    // What was sent to the worker's old session comes before the answer to the new one.
    this.#submissions.cross();
    for (const record of this.#displace(peer)) {
      this.#logger.debug('Replacing existing worker connection', { workerId: record.id });
      // To the application that is an event, and the registration another.
      this.#context.runApart(() => this.#handlers.replaced(record));
    }
    // A handler may have stopped the server.
    const registered = this.stopping ? null : this.#native.register(peer);
    if (registered === null) return;
    const record = new WorkerRecord(peer, registered, capabilities, this.#readRow());
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
    if (departed) record.update(this.#readRow(), 0);
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
