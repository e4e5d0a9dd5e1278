'use strict';

const { Door } = require('./door.js');
const { Drain, RETRY_AFTER_S } = require('./drain.js');
const { EventLoop } = require('./event-loop.js');
const { EventRouter } = require('./event-router.js');
const { Submissions } = require('./submissions.js');
const { describeError } = require('../workers/handlers.js');
const { WorkerLifecycle } = require('../workers/worker-lifecycle.js');
const { RequestHost } = require('./request-host.js');
const { RequestSlots } = require('./request-slots.js');
const { TrackedRequests } = require('./tracked-requests.js');
const { Fleet } = require('./fleet/fleet.js');
const { WorkerChanges } = require('./worker-changes.js');
const { WorkerRegistry } = require('./worker-registry.js');
const { HttpFront } = require('./http-front.js');
const { limitedLogger } = require('./limited-logger.js');
const { bindNativeServer } = require('./native-server.js');
const { rowReader } = require('../native/shared-memory.js');

/** A `WorkerServer` between its start and its stop. */
class RunningServer {
  #native;
  #handlers;
  #lifecycle;
  #logger;
  /** For lines that any peer can cause. Workers that come and go, and calls that the application makes, are always logged. */
  #limitedLogger;
  #graceMs;
  #metrics;
  #front;
  #relay;
  #registry;
  /** Returns the state of one worker, as the native side has written it last. */
  #readRow;
  #events = new EventLoop({
    handleEvent: (kind, batch) => this.#router.handle(kind, batch),
    onRow: (rows, at) => this.#registry.update(rows, at),
    complain: (kind, thrown) => this.#router.complain(kind, thrown),
  });
  /** Knows what each of those events is about. */
  #router;
  #submissions;
  /** Ids that the application has tracked. */
  #tracked;
  /** What `request()` needs, and what changes in workers. */
  #requests;
  #changes;
  /** `null` without the option `cluster`. */
  #fleet = null;
  #drain = null;
  #stopped = null;
  #onStopped = null;

  /**
   * @param options as `readOptions` returns them, with an IP address, if anything, as `host`
   * @throws what Node's `listen` reports, if the port can't be bound; then nothing is left of what was begun
   */
  constructor({ options, handlers, httpHandlers, endpoints, relay, diagnostics, metrics }) {
    const { logger, ...settings } = options;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#lifecycle = new WorkerLifecycle({
      logger,
      handlers,
      runApart: (handle) => this.#events.runApart(handle),
      diagnostics,
    });
    this.#graceMs = options.limits.stopGraceMs;
    this.#metrics = metrics;
    this.#relay = relay;
    this.#limitedLogger = options.logging
      ? limitedLogger(logger, (level, message) => this.admitsLine(level, message))
      : logger;
    // Before anything is bound.
    this.#front = new HttpFront({
      handlers: httpHandlers,
      endpoints,
      limits: options.limits,
      limitedLogger: this.#limitedLogger,
      diagnostics,
      metrics,
      getNative: () => this.#native,
    });
    try {
      this.#native = bindNativeServer(settings, {
        relayPort: relay?.port,
        onEvents: () => this.#events.drain(),
        counters: metrics.native,
      });
      this.#readRow = rowReader(this.#native);
      this.#submissions = new Submissions(this.#native, options.limits.maxQueuedBytes);
      this.#tracked = new TrackedRequests(this.#native, this.#submissions);
      this.#events.begin(this.#native, this.#submissions);
      this.#prepareRequests(options, { diagnostics, metrics });
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

  #prepareRequests(options, { diagnostics, metrics }) {
    const slots = new RequestSlots(this.#native, () => this.#registry.recordOfRow(), {
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
      diagnostics,
      metrics,
      options,
    });
    this.#changes = new WorkerChanges({
      native: this.#native,
      readRow: this.#readRow,
      host: this.#requests,
      handlers: this.#handlers,
      metrics,
    });
    this.#registry = new WorkerRegistry({
      server: this,
      door: new Door({ native: this.#native, options, limitedLogger: this.#limitedLogger, diagnostics }),
      native: this.#native,
      readRow: this.#readRow,
      submissions: this.#submissions,
      tracked: this.#tracked,
      sessions: this.#requests.sessions,
      handlers: this.#handlers,
      lifecycle: this.#lifecycle,
      limitedLogger: this.#limitedLogger,
      metrics,
    });
    this.#router = new EventRouter({
      server: this,
      eventLoop: this.#events,
      registry: this.#registry,
      changes: this.#changes,
      host: this.#requests,
      front: this.#front,
      handlers: this.#handlers,
      onStopped: () => this.#onStopped(),
    });
    if (options.cluster !== undefined) this.#prepareFleet(options, metrics);
  }

  #prepareFleet(options, metrics) {
    this.#fleet = new Fleet({
      server: this,
      nativeServer: this.#native,
      host: this.#requests,
      registry: this.#registry,
      tracked: this.#tracked,
      metrics,
      options,
    });
    this.#requests.joinFleet(this.#fleet);
  }

  // ---- The fleet ----

  /** Resolves when this server is one of its fleet, if it is to be in one. */
  async joinFleet() {
    await this.#fleet?.start();
  }

  /** See `Fleet`; `null` if it is in none. */
  get fleet() {
    return this.#fleet;
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

  /** Whether a line that any peer can cause is to be written: see `limitedLogger`. */
  admitsLine(level, message) {
    return this.#native.admitsLine(level, message);
  }

  setSecureContext(context) {
    this.#native.setSecureContext(context);
  }

  addEndpoint(path) {
    this.#native.addEndpoint(path);
  }

  send(workerId, text) {
    const record = this.#registry.get(workerId);
    return record !== undefined && this.#submissions.send(record, text);
  }

  broadcast(text) {
    this.#submissions.broadcast(text);
  }

  select(model, category) {
    this.giveSlots();
    return this.#found(this.#native.select(model, category));
  }

  selectAny() {
    this.giveSlots();
    return this.#found(this.#native.selectAny());
  }

  freeSlots(model, category) {
    this.giveSlots();
    return this.#native.freeSlots(model, category);
  }

  get workerCount() {
    return this.#native.workerCount();
  }

  get availableCount() {
    return this.#native.availableCount();
  }

  workers() {
    return this.#registry.infos();
  }

  setAuthTokens(tokens) {
    this.#native.setAuthTokens(tokens);
  }

  connectionInfo(workerId) {
    return this.#registry.connectionInfo(workerId);
  }

  /** No free slot that somebody waits for is seen by anyone else. */
  giveSlots() {
    if (this.#requests.dispatcher.hasWaiting) this.#requests.dispatcher.dispatch();
  }

  track(workerId, requestId, category) {
    const record = this.#registry.get(workerId);
    if (this.#belongsToRequest(requestId) || record === undefined) return;
    this.#tracked.track(record, requestId, category);
  }

  release(requestId, incrementCompleted) {
    if (this.#belongsToRequest(requestId)) return;
    this.#tracked.release(requestId, incrementCompleted);
    this.giveSlots();
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

  /** As Prometheus text; `lagSeconds`: how late the event loop was. */
  metricsText(lagSeconds) {
    return this.#native.metricsText(lagSeconds);
  }

  queueInfo() {
    return this.#requests.slots.info();
  }

  explain(options) {
    return (this.#fleet ?? this.#requests.slots).explain(options);
  }

  /** Calls `callback` when all that was received by now has been handled. */
  afterReceived(callback) {
    this.#events.afterReceived(callback);
  }

  /** While the server drains, a worker that has just come is sent `server_draining`. */
  tellDraining(record) {
    this.#drain?.tell(record);
  }

  /** A request is under way no more. */
  onLess() {
    this.#drain?.onLess();
  }

  /** False if there is no such worker. */
  setWorkerStatus(workerId, status) {
    const record = this.#registry.get(workerId);
    if (record !== undefined) this.#changes.setStatus(record, status);
    return record !== undefined;
  }

  /** False if there is no such worker. */
  disconnectWorker(workerId, code, reason) {
    const record = this.#registry.get(workerId);
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
      this.#fleet?.onDraining();
      this.#logger.debug('Server draining', { timeoutMs });
      for (const record of this.#registry.values()) this.#drain.tell(record);
    }
    return this.#drain.wait({ timeoutMs, signal });
  }

  /** Ends when every connection is gone, or cut after the grace period. */
  stop() {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop() {
    let fleetLeft;
    const gone = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
    try {
      this.#drain?.end();
      this.#requests.dispatcher.stop();
      fleetLeft = this.#fleet?.stop();
      this.#submissions.leave();
    } finally {
      this.#native.stop();
    }
    this.#requests.sessions.clear();
    this.#registry.clear();
    this.#tracked.clear();
    try {
      const [isLate] = await Promise.all([this.#front.close(this.#graceMs), gone, fleetLeft]);
      // Of worker connections the native side counts it.
      if (isLate) this.#metrics.limitHit('stopGraceMs');
    } finally {
      this.#relay?.close();
      this.#submissions.close();
      this.#events.close();
      this.#native.shutDown();
    }
  }

  /** The info of the worker whose row was written, if one was. */
  #found(written) {
    return written ? (this.#registry.readRecord()?.toInfo() ?? null) : null;
  }
}

module.exports = { RunningServer };
