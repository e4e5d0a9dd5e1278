'use strict';

const { Answers } = require('../requests/answers.js');
const { Dispatcher } = require('../requests/dispatcher.js');
const { injectTrace } = require('../requests/inject-trace.js');
const { prepare } = require('../requests/prepare.js');
const { RequestTypes } = require('../requests/request-types.js');
const { Sessions } = require('../requests/sessions.js');
const { ANSWER_TYPES, cancelText, requestText } = require('../requests/wire.js');

/**
 * What `lib/requests/` needs of a running server: workers' records, their slots, their sockets, and what was received.
 * It keeps no state of its own.
 */
class RequestHost {
  slots;
  logger;
  diagnostics;
  metrics;
  limitedLogger;
  /** The parts of `lib/requests/`. */
  dispatcher;
  sessions;
  #answers;
  #types;
  #submissions;
  #tracked;
  #limits;
  #injectTrace;
  #server;

  /**
   * @param server `isRunning`, `stopping`, `afterReceived(callback)` and `onLess()`, which is called when a request is
   *   under way no more
   * @param options those of the server: `queue`, `modelMatch`, `requestTypes`, `limits`
   */
  constructor({ server, slots, submissions, tracked, logger, limitedLogger, diagnostics, metrics, options }) {
    const { queue, modelMatch, requestTypes, limits } = options;
    this.slots = slots;
    this.logger = logger;
    this.limitedLogger = limitedLogger;
    this.diagnostics = diagnostics;
    this.metrics = metrics;
    this.#server = server;
    this.#submissions = submissions;
    this.#tracked = tracked;
    this.#limits = limits;
    this.#injectTrace = options.injectTrace;
    const defaults = { queueTimeoutMs: queue.timeoutMs, modelMatch };
    this.dispatcher = new Dispatcher({ defaults, maxStreamBytes: limits.maxStreamBytes }, this);
    this.sessions = new Sessions(this.dispatcher, this, limits.resumeGraceMs);
    this.#answers = new Answers(this.dispatcher, this);
    this.#types = requestTypes && new RequestTypes(requestTypes, this.dispatcher, this.#answers);
  }

  // ---- For the server ----

  /** This server is a node of a fleet: see `lib/server/fleet/fleet.js`. */
  joinFleet(fleet) {
    this.slots.joinFleet(fleet);
    this.dispatcher.joinFleet(fleet);
  }

  /** A chunk for a caller of this server comes from another node. */
  takeChunk(request, data, source) {
    this.#answers.takeChunk(request, data, source);
  }

  /**
   * Takes the next chunk of the stream whose chunk came before it. False if it has to be handled as any other message.
   *
   * @param batch See `isNextChunk` of `event-batch.js`
   */
  takeNextChunk(record, batch) {
    return record.speaksRequests && this.#answers.takeNextChunk(record, batch);
  }

  /** Handles a message of a worker if it is about requests. False if it is the application's. */
  handle(record, message, source) {
    if (!record.speaksRequests) return this.#types?.handle(record, message, source) === true;
    if (ANSWER_TYPES.has(message.type)) this.#answers.handle(record, message, source);
    else if (message.type === 'heartbeat') this.sessions.onActive(record, message);
    else return false;
    return true;
  }

  // ---- For the requests ----

  get isRunning() {
    return this.#server.isRunning;
  }

  get isStopping() {
    return this.#server.stopping;
  }

  afterReceived(callback) {
    this.#server.afterReceived(callback);
  }

  /** A worker can do something else than before. */
  onCapabilities(record) {
    this.#server.fleet?.owner.onWorkerUpdated(record);
  }

  onLess() {
    this.#server.onLess();
  }

  /**
   * Completes a new request.
   *
   * @throws {TypeError} if its frame would never fit
   */
  prepare(request) {
    // One of another node's carries what its origin has put in.
    if (this.#injectTrace !== undefined && !request.isHosted)
      request.traceText = injectTrace(this.#injectTrace, request, this);
    prepare(request, this.#limits.maxQueuedBytes);
  }

  textFor(request, record, timeoutMs) {
    return record.speaksRequests ? requestText(request, request.attempt, timeoutMs) : this.#types.textFor(request);
  }

  send(record, text) {
    return this.#submissions.send(record, text);
  }

  sendCancel(request, reason) {
    const { record } = request;
    const text = record.speaksRequests
      ? cancelText(request.idText, request.attempt, reason)
      : this.#types.cancelTextFor(request, reason);
    if (text !== undefined) this.send(record, text);
  }

  /** How long a worker may take to confirm that it let go of a request. */
  graceFor(record) {
    return record.speaksRequests || this.#types.hasCancel ? this.#limits.cancelGraceMs : Infinity;
  }

  /** A request has begun on a worker, whose slot the native side has counted already. */
  occupy(record, request) {
    record.addRequest(request);
    record.track(request.requestId, request.options.category);
  }

  /** It has ended there. */
  vacate(record, request, isCompleted) {
    record.removeRequest(request);
    this.#tracked.end(record, request.requestId, isCompleted);
  }

  /** A worker that came back goes on with a request: its slot is counted beyond its capacity, if need be. */
  attach(record, request) {
    record.addRequest(request);
    this.#tracked.begin(record, request.requestId, request.options.category);
  }

  /** A worker has left, and the native side has forgotten its slots. */
  detach(record, request) {
    record.removeRequest(request);
    record.release(request.requestId, false);
  }

  leaveSuspended(request) {
    this.sessions.leave(request);
  }

  /** The number of an attempt that a worker here had of a request of another node's, which goes on there. */
  formerAttempt(requestId, workerId) {
    return this.#server.fleet?.formerAttempt(requestId, workerId);
  }

  isTracked(requestId) {
    return this.#tracked.has(requestId);
  }

  isTrackedOn(record, requestId) {
    return record.pendingRequests.has(requestId);
  }
}

module.exports = { RequestHost };
