'use strict';

const { now } = require('../time/clock.js');
const { ChunkBuffer } = require('./stream.js');
const { quoted } = require('./wire.js');

/** Where a request is. */
const WAITING = 'waiting'; // for a free slot
const PAUSING = 'pausing'; // before the next attempt
const RUNNING = 'running'; // on a worker
const ELSEWHERE = 'elsewhere'; // at another node of the fleet, whose word it waits for
const SUSPENDED = 'suspended'; // its worker was lost, and may come back and go on
const HELD = 'held'; // its caller was answered, and the slot is taken until the worker confirms
const DONE = 'done';

/** The settings of a request that ended before it began: nobody asks for them. */
const REFUSED = Object.freeze({});
const OPENING_BRACE = '{'.charCodeAt(0);

/**
 * One call of `request()` or `stream()`: what was asked for, where it is, and how its caller learns of the end.
 *
 * Many may wait, and each member takes 8 bytes, a time 16 more: what follows from others is a getter.
 */
class Request {
  state = WAITING;
  /** Its place among the deadlines: see `deadlines.js`. */
  place = -1;
  /** When it was called for. Times are those of `lib/time/clock.js`. */
  beganAt = 0;
  /** Why it is sent the next time, as metrics call that. */
  sentSince = 'first';
  /**
   * When something of its state ends: the wait for a free slot, a pause, the wait for a confirmation, for a worker or
   * for an end that is ready.
   */
  stateEndsAt = Infinity;
  /** Its place in the native queue while it waits. */
  ticket = null;
  /** When it first arrived, as the native queue numbers that: who comes back stands where it would have stood. */
  arrival = undefined;
  /** The worker that it is on, or whose slot it has just been given, and the last one that it was on. */
  record = null;
  lastRecord = null;
  /** The place of its category among those that the worker limits. */
  limitPlace = -1;
  /** The number of the last sending, and how many sendings were neither refused nor rejected. */
  attempt = 0;
  attempts = 0;
  /** The worker has acknowledged the attempt, and how many heartbeats in a row have not named it since. */
  isAcknowledged = false;
  missedBeats = 0;
  /** When the worker last said something about it, where it may not be silent for as long as it likes. */
  heardAt;
  /** The number of the next chunk. Once there was one, no further attempt is made. */
  nextSeq = 0;
  hasChunks = false;
  /** The last attempt of each worker that it was on, by id. */
  triedOn = null;
  /** How often each worker has rejected it, at which attempt last, and until when it does not get it again, by id. */
  rejectedBy = null;
  /** It has been in the queue. */
  hasWaited = false;
  isSettled = false;
  /** What a fleet of several notes of it: see `lib/server/fleet/fleet-notes.js`. */
  fleetNotes = null;
  /** The chunks of a stream; `null` if it is none. */
  buffer = null;
  /** What subscribers of its channel see, and see change, if there are any: see `lib/workers/diagnostics.js`. */
  traceContext = null;
  #queueLeftMs = undefined;
  #resolve;
  #reject;

  /** @param read What `readRequestOptions` returns. */
  constructor({ requestId, model, signal, settings }, payloadText, isStream, maxStreamBytes) {
    /** Those that requests may share. */
    this.options = settings;
    this.requestId = requestId;
    this.model = model;
    this.signal = signal;
    this.payloadText = payloadText;
    this.payloadBytes = 0;
    /** What its workers are told of the trace that its caller is in, as JSON text. */
    this.traceText = undefined;
    if (isStream) this.buffer = new ChunkBuffer(maxStreamBytes);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** A request that ended before it began. */
  static refused(error, isStream, requestId = '') {
    const request = new Request({ requestId, settings: REFUSED }, undefined, isStream, 0);
    request.reject(error);
    return request;
  }

  get isStream() {
    return this.buffer !== null;
  }

  /** Of another node's: see `lib/server/fleet/hosted-request.js`. */
  get isHosted() {
    return false;
  }

  /** Whether the payload is a plain object: workers that speak types of the application's own take nothing else. */
  get isObject() {
    return this.payloadText !== undefined && this.payloadText.charCodeAt(0) === OPENING_BRACE;
  }

  /** When it has taken too long, and its caller is notified. */
  get timeoutAt() {
    return this.beganAt + this.options.timeoutMs;
  }

  /** How much of its queue time was left when it last began to wait, or is left since it waits no longer. */
  get queueLeftMs() {
    return this.#queueLeftMs ?? this.options.queueTimeoutMs;
  }

  set queueLeftMs(ms) {
    this.#queueLeftMs = ms;
  }

  /** Its id as JSON text. */
  get idText() {
    return quoted(this.requestId);
  }

  /** It keeps the place that it had, and is refused by no bound: it has waited, or been given to a worker. */
  get comesBack() {
    return this.arrival !== undefined;
  }

  /** The number of its last attempt on a worker that does not have it any more; `undefined` if there was none. */
  formerAttemptOn(workerId) {
    const tried = this.triedOn?.get(workerId);
    const rejected = this.rejectedBy?.get(workerId)?.attempt;
    return tried === undefined || rejected > tried ? rejected : tried;
  }

  /** The caller gets its result. Once there is one, nothing changes it. */
  resolve(value) {
    if (this.isSettled) return;
    this.isSettled = true;
    this.buffer?.end();
    this.#resolve(value);
  }

  /** The caller gets an error; of a stream that `drops`, no more of the chunks that came. */
  reject(error, drops = false) {
    if (this.isSettled) return;
    this.isSettled = true;
    this.buffer?.fail(error, drops);
    this.#reject(error);
  }

  /** The worker has said something about it. The clock is read only where that matters. */
  noteAnswer() {
    if (this.options.idleTimeoutMs !== Infinity) this.heardAt = now();
  }

  /** What subscribers see of it has changed. */
  updateTraceContext() {
    if (this.traceContext === null) return;
    this.traceContext.attempts = this.attempts;
    this.traceContext.workerId = this.lastRecord?.id;
  }

  /** When something is next due, as far as its state asks. */
  get nextDueAt() {
    switch (this.state) {
      case RUNNING:
        if (this.heardAt === undefined) return Math.min(this.timeoutAt, this.stateEndsAt);
        return Math.min(this.timeoutAt, this.heardAt + this.options.idleTimeoutMs, this.stateEndsAt);
      case WAITING:
      case PAUSING:
      case SUSPENDED:
        return Math.min(this.timeoutAt, this.stateEndsAt);
      case HELD:
        return this.stateEndsAt;
      case ELSEWHERE:
        return this.timeoutAt;
      default:
        return Infinity;
    }
  }
}

module.exports = { DONE, ELSEWHERE, HELD, PAUSING, RUNNING, Request, SUSPENDED, WAITING };
