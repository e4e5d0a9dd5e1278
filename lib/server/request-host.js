'use strict';

const { wrongType } = require('../workers/handlers.js');
const { Answers } = require('../requests/answers.js');
const { Dispatcher } = require('../requests/dispatcher.js');
const { RequestTypes } = require('../requests/request-types.js');
const { Sessions } = require('../requests/sessions.js');
const { ANSWER_TYPES, cancelText, requestText } = require('../requests/wire.js');

/** What a frame adds to a text at most, and the members of a request beside its payload: beyond, the frame is measured. */
const MAX_FRAME_EXTRA = 4_096;
/** What UTF-8 takes at most for a UTF-16 unit, in bytes. */
const MAX_UNIT_BYTES = 3;
/** The header of a frame that is longer than 64 KiB, and of one that is shorter. */
const [LONG_HEADER_BYTES, SHORT_HEADER_BYTES] = [10, 4];

/**
 * What `lib/requests/` needs of a running server: workers' records, their slots, their sockets, and what was received. It keeps
 * no state of its own.
 */
class RequestHost {
  slots;
  logger;
  limitedLogger;
  /** The parts of `lib/requests/`. */
  dispatcher;
  sessions;
  #answers;
  #types;
  #submissions;
  #tracked;
  #limits;
  #server;

  /**
   * @param server `isRunning`, `stopping`, `afterReceived(callback)` and `onLess()`, which is called when a request is under way no more
   * @param options those of the server: `queue`, `modelMatch`, `requestTypes`, `limits`
   */
  constructor({ server, slots, submissions, tracked, logger, limitedLogger, options }) {
    const { queue, modelMatch, requestTypes, limits } = options;
    this.slots = slots;
    this.logger = logger;
    this.limitedLogger = limitedLogger;
    this.#server = server;
    this.#submissions = submissions;
    this.#tracked = tracked;
    this.#limits = limits;
    const defaults = { queueTimeoutMs: queue.timeoutMs, modelMatch };
    this.dispatcher = new Dispatcher({ defaults, maxStreamBytes: limits.maxStreamBytes }, this);
    this.sessions = new Sessions(this.dispatcher, this, limits.resumeGraceMs);
    this.#answers = new Answers(this.dispatcher, this);
    this.#types = requestTypes && new RequestTypes(requestTypes, this.dispatcher, this.#answers);
  }

  // ---- For the server ----

  /** Handles a message of a worker if it is about requests. False if it is the application's. */
  handle(record, message, bytes) {
    if (!record.speaksRequests) return this.#types?.handle(record, message, bytes) === true;
    if (ANSWER_TYPES.has(message.type)) this.#answers.handle(record, message, bytes);
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

  onLess() {
    this.#server.onLess();
  }

  /**
   * Completes a new request.
   *
   * @throws {TypeError} if its frame would never fit
   */
  prepare(request) {
    const { payloadText, options } = request;
    request.isObject = payloadText !== undefined && payloadText.charCodeAt(0) === OPENING_BRACE;
    request.payloadBytes = payloadText === undefined ? 0 : Buffer.byteLength(payloadText);
    if (options.model !== undefined) request.modelText = JSON.stringify(options.model);
    if (options.category !== undefined) request.categoryText = JSON.stringify(options.category);
    const { maxQueuedBytes } = this.#limits;
    const { model = '', category = '' } = options;
    const most = request.payloadBytes + MAX_FRAME_EXTRA + MAX_UNIT_BYTES * (model.length + category.length);
    if (most <= maxQueuedBytes) return;
    const length = Buffer.byteLength(requestText(request, 1, options.timeoutMs));
    const frameBytes = length + (length > 0xffff ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES);
    if (frameBytes > maxQueuedBytes) {
      const expected = `something whose frame has at most ${maxQueuedBytes} bytes (limits.maxQueuedBytes)`;
      throw wrongType('payload', expected, frameBytes);
    }
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

  isTracked(requestId) {
    return this.#tracked.has(requestId);
  }

  isTrackedOn(record, requestId) {
    return record.pendingRequests.has(requestId);
  }
}

const OPENING_BRACE = '{'.charCodeAt(0);

module.exports = { RequestHost };
