'use strict';

const { Drain, RETRY_AFTER_S } = require('./drain.js');
const { TEXTS, MESSAGE, REGISTER, CLOSED, CONNECTION, LOG, STOPPED, SLOTS, BARRIER } = require('./event-batch.js');
const { EventLoop, ROW_FIELDS } = require('./event-loop.js');
const { Submissions } = require('./submissions.js');
const { describeError, writeLine } = require('../workers/handlers.js');
const { unknownWorkerInfo } = require('../workers/worker-info.js');
const { WorkerRecord } = require('./worker-record.js');
const { RequestHost } = require('./request-host.js');
const { RequestSlots } = require('./request-slots.js');
const { TrackedRequests } = require('./tracked-requests.js');
const { WorkerChanges } = require('./worker-changes.js');
const { HttpFront } = require('./http-front.js');
const { LEVELS, limitedLogger } = require('./limited-logger.js');
const { listenError } = require('./listen-error.js');
const native = require('../native/addon.js');
const { parse } = require('./joined-texts.js');
const { MEMORY_IS_SHARED, rowReader } = require('../native/shared-memory.js');
const { ANSWER_TYPES, RESUME, sharedFeatures } = require('../requests/wire.js');

/** A close frame with this code is a goodbye: whoever sends it does not come back to go on. */
const NORMAL_CLOSURE = 1000;

// As it was when this was loaded: tests replace it.
const { parse: parseJson } = JSON;

/** What a worker with the feature `request` says to the server, and to no handler. */
const SERVER_TYPES = new Set([...ANSWER_TYPES, 'worker_status', 'worker_update']);

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
  #events = new EventLoop({
    handleEvent: (kind, batch) => this.#handleEvent(kind, batch),
    onRow: (fields, at) => this.#workers.get(fields[at])?.update(fields, at),
    complain: (kind, thrown) => this.#complain(kind, thrown),
  });
  #submissions;
  /** Ids that the application has tracked. */
  #tracked;
  /** What `request()` needs, and what changes in workers. */
  #requests;
  #changes;
  #drain = null;
  /** Connections that have registered with the feature `request`: what it brought with it is the server's there for good. */
  #speakers = new Set();
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
      this.#tracked = new TrackedRequests(this.#native, this.#submissions);
      this.#events.begin(this.#native, this.#submissions);
      this.#prepareRequests(options);
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
        {
          ...settings,
          exactModels: settings.modelMatch === 'exact',
          requestTypes: settings.requestTypes !== undefined,
          relayPort: this.#relay?.port,
          sharesMemory: MEMORY_IS_SHARED,
        },
        () => this.#events.drain(),
      );
    } catch (error) {
      throw listenError(error, settings.host, settings.port);
    }
  }

  #prepareRequests(options) {
    const slots = new RequestSlots(this.#native, () => this.#workers.get(this.#readRow()[0]), {
      failsWithoutWorker: options.queue.whenNoWorker === 'fail',
      tellsObjects: options.requestTypes !== undefined,
    });
    this.#requests = new RequestHost({
      server: this,
      slots,
      submissions: this.#submissions,
      tracked: this.#tracked,
      logger: this.#logger,
      limitedLogger: this.#limitedLogger,
      options,
    });
    this.#changes = new WorkerChanges({
      native: this.#native,
      readRow: this.#readRow,
      host: this.#requests,
      handlers: this.#handlers,
    });
  }

  get port() {
    return this.#native.port;
  }

  /** Whether new requests are taken. */
  get isRunning() {
    return !this.stopping && this.#drain === null;
  }

  get isDraining() {
    return this.#drain !== null;
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
    this.#giveSlots();
    return this.#found(this.#native.select(model, category));
  }

  selectAny() {
    this.#giveSlots();
    return this.#found(this.#native.selectAny());
  }

  freeSlots(model, category) {
    this.#giveSlots();
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

  /** No free slot that somebody waits for is seen by anyone else. */
  #giveSlots() {
    if (this.#requests.dispatcher.hasWaiting) this.#requests.dispatcher.dispatch();
  }

  track(workerId, requestId, category) {
    const record = this.#byId.get(workerId);
    if (this.#belongsToRequest(requestId) || record === undefined) return;
    this.#tracked.track(record, requestId, category);
  }

  release(requestId, incrementCompleted) {
    if (this.#belongsToRequest(requestId)) return;
    this.#tracked.release(requestId, incrementCompleted);
    this.#giveSlots();
    this.onLess();
  }

  #belongsToRequest(requestId) {
    if (!this.#requests.dispatcher.has(requestId)) return false;
    this.#logger.warn('Request belongs to request()', { requestId });
    return true;
  }

  // ---- Requests ----

  request(payload, options) {
    return this.#requests.dispatcher.request(payload, options);
  }

  stream(payload, options) {
    return this.#requests.dispatcher.stream(payload, options);
  }

  queueInfo() {
    return this.#requests.slots.info();
  }

  explain(options) {
    return this.#requests.slots.explain(options);
  }

  /** Calls `callback` when all that was received by now has been handled. */
  afterReceived(callback) {
    this.#events.afterReceived(callback);
  }

  /** A request is under way no more. */
  onLess() {
    this.#drain?.onLess();
  }

  /** False if there is no such worker. */
  setWorkerStatus(workerId, status) {
    const record = this.#byId.get(workerId);
    if (record !== undefined) this.#changes.setStatus(record, status);
    return record !== undefined;
  }

  /** False if there is no such worker. */
  disconnectWorker(workerId, code, reason) {
    const record = this.#byId.get(workerId);
    if (record === undefined) return false;
    record.isDismissed = true;
    this.#submissions.cross();
    this.#native.disconnect(record.key, code, reason);
    return true;
  }

  /** See `Drain`. */
  drain({ timeoutMs, signal }) {
    if (this.#drain === null) {
      this.#drain = new Drain({
        timeoutMs,
        send: (record, text) => this.#submissions.send(record, text),
        remaining: () => this.#requests.dispatcher.unsettled + this.#tracked.size,
      });
      this.#native.setDrainingServer(RETRY_AFTER_S);
      this.#logger.debug('Server draining', { timeoutMs });
      for (const record of this.#workers.values()) this.#drain.tell(record);
    }
    return this.#drain.wait({ timeoutMs, signal });
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
      this.#drain?.end();
      this.#requests.dispatcher.stop();
      this.#submissions.leave();
    } finally {
      this.#native.stop();
    }
    this.#requests.sessions.clear();
    this.#workers.clear();
    this.#byId.clear();
    this.#byPeer.clear();
    this.#tracked.clear();
    this.#speakers.clear();
    try {
      await Promise.all([gone, this.#front.close(this.#graceMs)]);
    } finally {
      this.#relay?.close();
      this.#submissions.close();
      this.#events.close();
      this.#native.shutDown();
    }
  }

  /** The info of the worker whose row was written, if one was. */
  #found(written) {
    return written ? (this.#readRecord()?.toInfo() ?? null) : null;
  }

  /** The record of the worker whose row was written, brought up to date. */
  #readRecord() {
    const row = this.#readRow();
    const record = this.#workers.get(row[0]);
    record?.update(row, 0);
    return record;
  }

  // ---- Events ----

  /** Something went wrong with an event of that kind, or, if it is undefined, before there was an event. */
  #complain(kind, thrown) {
    const context = { error: describeError(thrown) };
    if (kind === CONNECTION) this.#logger.error('HTTP server error', context);
    else this.#logger.error('Worker WebSocket error', context);
  }

  #handleEvent(kind, batch) {
    const { peer, message, a, b, extras } = batch;
    switch (kind) {
      case TEXTS:
        if (!this.stopping) this.#onMessage(peer, message, batch);
        break;
      case MESSAGE:
        if (!this.stopping) this.#onMessage(peer, parse(extras[a]), batch);
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
      case SLOTS:
        if (!this.stopping) this.#giveSlots();
        break;
      case BARRIER:
        if (!this.stopping) this.#events.onBarrier(a);
        break;
    }
  }

  /** @param source What the message came in: its `byteLength` counts while the message is being handled. */
  #onMessage(peer, message, source) {
    if (message === undefined) {
      this.#limitedLogger.warn('Invalid JSON message from worker');
      return;
    }
    const record = this.#byPeer.get(peer);
    if (this.#isForServer(peer, record, message, source)) return;
    const getInfo = () => record?.toSharedInfo() ?? unknownWorkerInfo();
    const taken = this.#handlers.message(message, getInfo, this.#limitedLogger);
    if (taken && record === undefined && !this.#kept.has(peer)) {
      this.#kept.add(peer);
      this.#native.keepUnregistered(peer);
    }
  }

  /** Handles a message if it is about requests, or about the worker itself. */
  #isForServer(peer, record, message, source) {
    if (record !== undefined && this.#requests.handle(record, message, source)) return true;
    if (!this.#speakers.has(peer)) return false;
    if (record?.speaksRequests === true) return this.#changes.handle(record, message);
    // Its worker was replaced, or registered again without the feature.
    return SERVER_TYPES.has(message.type);
  }

  #onRegister(peer, text) {
    const { workerId, capabilities, features: named, resume } = parseJson(text);
    // What was sent to the worker's old session comes before the answer to the new one.
    this.#submissions.cross();
    for (const record of this.#displace(peer)) {
      this.#logger.debug('Replacing existing worker connection', { workerId: record.id });
      this.#requests.sessions.onLost(record, record.formerPeer !== peer && !record.isDismissed);
      // To the application that is an event, and the registration another.
      this.#events.runApart(() => this.#handlers.replaced(record));
    }
    const features = sharedFeatures(named, this.#requests.sessions.offersResume);
    const plan = this.#planOf(workerId, features, resume);
    // A handler may have stopped the server.
    const registered = this.stopping ? null : this.#native.register(peer, features.length > 0, plan.members);
    if (registered === null) return;
    const record = new WorkerRecord(peer, registered, capabilities, features, this.#readRow());
    this.#workers.set(record.key, record);
    this.#byId.set(record.id, record);
    this.#byPeer.set(peer, record);
    this.#kept.delete(peer);
    if (record.speaksRequests) this.#speakers.add(peer);
    this.#logger.debug('Worker registered', {
      workerId: record.id,
      workerName: record.name,
      models: capabilities.models.map((model) => model.modelId),
      maxConcurrentRequests: capabilities.maxConcurrentRequests,
    });
    this.#requests.sessions.onRegistered(record, plan.resumed);
    this.#giveSlots();
    // A callback of a request may have stopped the server, too.
    if (this.stopping) return;
    this.#drain?.tell(record);
    this.#handlers.connected(() => record.toInfo());
  }

  /** What the ack of a registration says beyond that of 1.0.12, and which requests go on. */
  #planOf(workerId, features, resume) {
    if (features.length === 0) return { members: '', resumed: [] };
    const members = `,"features":${JSON.stringify(features)}`;
    if (!features.includes(RESUME) || resume === undefined) return { members, resumed: [] };
    const plan = this.#requests.sessions.plan(workerId, resume);
    return { members: members + plan.members, resumed: plan.resumed };
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
    this.#speakers.delete(peer);
    const record = this.#byPeer.get(peer);
    const departed = this.#native.depart(peer);
    if (record === undefined) {
      this.#limitedLogger.debug('Unregistered WebSocket connection closed', { code, reason });
      return;
    }
    if (departed) record.update(this.#readRow(), 0);
    this.#remove(record);
    this.#requests.sessions.onLost(record, code !== NORMAL_CLOSURE && !record.isDismissed);
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
    record.formerPeer = record.peer;
    record.peer = null;
    this.#tracked.forget(record);
    this.onLess();
  }
}

module.exports = { RunningServer };
