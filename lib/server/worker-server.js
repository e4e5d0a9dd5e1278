'use strict';

const cluster = require('node:cluster');
const dns = require('node:dns/promises');

const { defaults: DEFAULTS } = require('../native/abi.js');
const { Diagnostics } = require('../workers/diagnostics.js');
const { Handlers, SILENT_LOGGER, describeError, requireFunction, wrongType } = require('../workers/handlers.js');
const { ServerMetrics } = require('./metrics.js');
const { readOptions } = require('./options.js');
const { readPerMessageDeflate } = require('./per-message-deflate.js');
const { Relay } = require('./relay.js');
const { RunningServer } = require('./running-server.js');
const { readSecureContext } = require('./secure-context.js');
const { Serializer } = require('./serializer.js');
const { SETTINGS } = require('./settings.js');
const { limitedLogger } = require('./limited-logger.js');
const { SignalDrain } = require('./signal-drain.js');
const { readNewTokens, warnOfEmptyToken } = require('./tokens.js');
const { STATUSES } = require('./worker-changes.js');
const { warnOfUnknownParts } = require('../workers/unknown-options.js');
const { now } = require('../time/clock.js');
const { requestOf } = require('../requests/calls.js');
const { WorkerRequestError } = require('../requests/errors.js');
const { readDemandOptions, requireDuration, requireSignal } = require('../requests/options.js');
const { prepare } = require('../requests/prepare.js');
const { RequestStream } = require('../requests/stream.js');

function requireString(value, name) {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value);
}

/** An optional argument that JavaScript callers also leave out by giving null. */
function optionalString(value, name) {
  if (value === undefined || value === null) return undefined;
  requireString(value, name);
  return value;
}

/** Bytes that a close frame has for its reason (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123;

/** What `disconnectWorker` closes with. */
function readClosing(options) {
  if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options);
  const { code = 1000, reason = '' } = options;
  if (!(code === 1000 || (Number.isInteger(code) && code >= 3000 && code <= 4999))) {
    throw wrongType('options.code', '1000 or an integer from 3000 to 4999', code);
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > MAX_REASON_BYTES) {
    throw wrongType('options.reason', `a string of at most ${MAX_REASON_BYTES} bytes`, reason);
  }
  return { code, reason };
}

/** See `index.d.ts` for what each member does. */
class WorkerServer {
  #options;
  #handlers;
  #diagnostics = new Diagnostics(this);
  #metrics = new ServerMetrics();
  #httpHandlers = [];
  #endpoints = new Map();
  #serializer = new Serializer();
  /** The running server, from a start to the end of its stop. */
  #running = null;
  /** The start that is under way. */
  #starting = null;
  #signalDrain;
  /** Of what is added to it. Before the start and after the stop everything is admitted. */
  #limitedLogger;
  /** When it last started, on the clock of `lib/time/clock.js`. */
  #startedAt;

  constructor(options) {
    this.#options = readOptions(options);
    this.#options.logging = this.#options.logger !== SILENT_LOGGER;
    this.#handlers = new Handlers(this.#options.logger, this.#diagnostics);
    this.#limitedLogger = limitedLogger(
      this.#options.logger,
      (level, message) => this.#running?.admitsLine(level, message) ?? true,
    );
    this.#signalDrain = new SignalDrain(this, this.#options.drainOnSignals);
  }

  get state() {
    if (this.#starting !== null) return 'starting';
    if (this.#running === null) return 'stopped';
    if (this.#running.stopping) return 'stopping';
    return this.#running.isDraining ? 'draining' : 'running';
  }

  get port() {
    return this.#running?.port ?? this.#options.port;
  }

  get [SETTINGS]() {
    return {
      limitedLogger: this.#limitedLogger,
      limits: this.#options.limits,
      startedAt: this.#startedAt,
      limitHit: (limit) => this.#metrics.limitHit(limit),
      remoteWorkers: () => this.#running?.fleet?.remoteWorkers() ?? [],
    };
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
      // Processes of a cluster share their ports, where the system lets them. Asked for where it does not, it is an
      // error.
      options.reusePort ||= cluster.isWorker && process.platform !== 'win32';
      if (options.host !== undefined) options.host = (await dns.lookup(options.host)).address;
      if (Relay.isNeeded()) relay = await Relay.listen();
      // They may have been changed meanwhile.
      const { authTokens, tls } = this.#options;
      this.#running = new RunningServer({
        options: { ...options, authTokens, tls },
        handlers: this.#handlers,
        httpHandlers: this.#httpHandlers,
        endpoints: this.#endpoints,
        relay,
        diagnostics: this.#diagnostics,
        metrics: this.#metrics,
      });
    } catch (error) {
      relay?.close();
      options.logger.error('HTTP server error', { error: error.message });
      throw error;
    }
    await this.#joinFleet(options);
    this.#startedAt = now();
    this.#signalDrain.listen();
    options.logger.debug('HTTP + WebSocket server started', { port: this.port });
  }

  /** Without its fleet it does not start. */
  async #joinFleet(options) {
    const running = this.#running;
    try {
      await running.joinFleet();
    } catch (error) {
      await running.stop();
      this.#running = null;
      options.logger.error('Cluster could not be joined', { error: describeError(error) });
      throw error;
    }
  }

  async stop() {
    // A start that looks a host name up, say, would otherwise come to its end behind the stop's.
    if (this.#starting !== null) await this.#starting.catch(() => {});
    const running = this.#running;
    if (running === null) return;
    const first = !running.stopping;
    await running.stop();
    if (!first) return;
    this.#signalDrain.close();
    this.#metrics.stop();
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

  onWorkerUpdated(handler) {
    return this.#handlers.onUpdated(handler);
  }

  /** Whether there is a running server, which judges by itself whether it takes requests. */
  get #hasStarted() {
    return this.#running !== null && this.#starting === null;
  }

  request(payload, options) {
    if (this.#hasStarted) return this.#running.request(payload, options);
    return this.#refuse(payload, options, false).promise;
  }

  stream(payload, options) {
    if (this.#hasStarted) return this.#running.stream(payload, options);
    return new RequestStream(this.#refuse(payload, options, true), null);
  }

  /** A request that comes while nothing runs: what is wrong with it is judged all the same, and first. */
  #refuse(payload, options, isStream) {
    const request = requestOf(payload, options, isStream, { defaults: this.#requestDefaults, maxStreamBytes: 0 });
    this.#diagnostics.trace(request, () => {
      if (!request.isSettled) request.reject(this.#endOfRefused(request));
    });
    return request;
  }

  #endOfRefused(request) {
    try {
      prepare(request, this.#options.limits.maxQueuedBytes);
    } catch (error) {
      return error;
    }
    this.#metrics.ended(request.model, 'stopping', NaN);
    const details = { code: 'SERVER_STOPPING', requestId: request.requestId, attempts: 0, started: false };
    return new WorkerRequestError('The server is not running', details);
  }

  get #requestDefaults() {
    const { queue, modelMatch } = this.#options;
    return { queueTimeoutMs: queue.timeoutMs, modelMatch };
  }

  getQueueInfo() {
    return this.#running?.queueInfo() ?? { size: 0, bytes: 0, oldestMs: 0, byModel: Object.create(null) };
  }

  metrics() {
    return this.#metrics.text(this.#running);
  }

  explain(options) {
    const read = readDemandOptions(options, this.#requestDefaults);
    return this.#running?.explain(read) ?? { text: 'no workers', workers: [] };
  }

  getClusterInfo() {
    return this.#running?.fleet?.info() ?? null;
  }

  setWorkerStatus(workerId, status) {
    requireString(workerId, 'workerId');
    if (!STATUSES.has(status)) throw wrongType('status', "'available' or 'draining'", status);
    return this.#running?.setWorkerStatus(workerId, status) ?? false;
  }

  disconnectWorker(workerId, options = {}) {
    requireString(workerId, 'workerId');
    const { code, reason } = readClosing(options);
    return this.#running?.disconnectWorker(workerId, code, reason) ?? false;
  }

  async drain(options = {}) {
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object', options);
    const { timeoutMs = DEFAULTS.drain.timeoutMs, signal } = options;
    requireDuration(timeoutMs, 'options.timeoutMs');
    if (signal !== undefined) requireSignal(signal);
    if (signal?.aborted) throw signal.reason;
    const running = this.#running;
    if (!this.#hasStarted || running.stopping) return { drained: true, remaining: 0 };
    return running.drain({ timeoutMs, signal });
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

  setAuthToken(token) {
    const tokens = readNewTokens(token);
    this.#options.authTokens = tokens;
    this.#running?.setAuthTokens(tokens);
    warnOfEmptyToken(tokens, 'token');
  }

  getConnectionInfo(workerId) {
    requireString(workerId, 'workerId');
    return this.#running?.connectionInfo(workerId) ?? null;
  }

  trackRequest(workerId, requestId, category) {
    if (typeof workerId !== 'string') return;
    this.#running?.track(workerId, requestId, optionalString(category, 'category'));
  }

  releaseRequest(requestId, options) {
    this.#running?.release(requestId, options?.incrementCompleted === true);
  }

  setSecureContext(tls) {
    if (this.#options.tls === undefined) {
      throw new Error('setSecureContext() needs a server that was made with the option tls');
    }
    const { context, parts } = readSecureContext(tls);
    if (context === undefined) throw new TypeError('options.tls must be an object, got undefined');
    this.#options.tls = context;
    this.#running?.setSecureContext(context);
    warnOfUnknownParts(parts);
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
