'use strict';

// The attempts that this worker has taken: what the server is sent about each, on which connection, and what is kept
// until the server has it. The handlers themselves run on the program's thread, which knows an attempt by its ticket.

const { attemptFrame, errorFrame, isAttemptNumber } = require('./frames.js');
const { ReplayBuffer } = require('./replay.js');
const { monotonicMs } = require('../../time/clock.js');
const { startTimer } = require('../../time/timers.js');

/** How long an end is kept for a server that doesn't say that it has it, in ms. */
const KEEP_END_MS = 5 * 60_000;

class Attempts {
  #post;
  #limit;
  #onChange;
  /** By ticket. */
  #attempts = new Map();
  /** By request id, then by attempt number. */
  #byId = new Map();
  #nextTicket = 1;
  /** Handlers that haven't returned, those of attempts that are over for the server included. */
  #handlers;
  #replay = new ReplayBuffer();
  /** The connection on which these attempts go on, or null while there is none. */
  #session = null;
  #resumable = false;

  /**
   * @param post sends a message to the program's thread
   * @param limit how many handlers may run at once
   * @param onChange called when an attempt is over, or its end has left
   * @param {number} running handlers that an earlier run of the same worker has left
   */
  constructor({ post, limit, onChange, running }) {
    this.#post = post;
    this.#limit = limit;
    this.#onChange = onChange;
    this.#handlers = running;
  }

  /** Whether there is an attempt whose end hasn't left yet. */
  get busy() {
    return this.#list().some((attempt) => !attempt.endHanded);
  }

  /** Whether there is an attempt that a next connection would go on with. */
  get alive() {
    return this.#attempts.size > 0;
  }

  /** The request ids that a heartbeat names. */
  active() {
    return [
      ...new Set(
        this.#list()
          .filter((attempt) => !attempt.endHanded)
          .map(({ requestId }) => requestId),
      ),
    ];
  }

  /** What a registration says of the attempts of the connection before it. */
  claims() {
    return this.#list().map(({ requestId, attempt, end }) => ({ requestId, attempt, done: end !== null }));
  }

  // ---- the server's side

  /** A `request`: `text` is its frame, which the program's thread parses again. */
  take(message, text) {
    const { requestId, attempt } = message;
    if (this.#byId.get(requestId)?.has(attempt)) return;
    for (const older of this.#ofId(requestId)) {
      if (older.attempt < attempt) this.#cancel(older, 'superseded');
    }
    if (this.#handlers >= this.#limit()) {
      this.#session.push(attemptFrame('request_reject', message, '"reason":"busy"'));
      return;
    }
    const taken = {
      ticket: this.#nextTicket++,
      requestId,
      attempt,
      stream: message.stream === true,
      nextSeq: 0,
      cancelled: false,
      cancelReason: '',
      chunksLost: false,
      end: null,
      endHanded: false,
      stopKeeping: () => {},
    };
    this.#attempts.set(taken.ticket, taken);
    if (!this.#byId.has(requestId)) this.#byId.set(requestId, new Map());
    this.#byId.get(requestId).set(attempt, taken);
    this.#handlers += 1;
    this.#session.push(attemptFrame('request_ack', taken));
    const { timeoutMs } = message;
    const deadline = typeof timeoutMs === 'number' && timeoutMs >= 0 ? monotonicMs() + timeoutMs : Infinity;
    this.#post({ type: 'request', ticket: taken.ticket, text, deadline, stream: taken.stream });
  }

  /** A `request_cancel`. Without an attempt number it means every attempt of that request. */
  cancel({ requestId, attempt, reason }) {
    const word = typeof reason === 'string' ? reason : 'aborted';
    for (const running of this.#ofId(requestId)) {
      if (!isAttemptNumber(attempt) || running.attempt === attempt) this.#cancel(running, word);
    }
  }

  #cancel(attempt, reason) {
    if (attempt.end !== null || attempt.cancelled) return;
    attempt.cancelled = true;
    attempt.cancelReason = reason;
    this.#abort(attempt, reason.toUpperCase(), `The request was cancelled: ${reason}`);
  }

  /** A `request_settled`: the server has the end. */
  settled({ requestId, attempt }) {
    const ended = this.#byId.get(requestId)?.get(attempt);
    if (ended !== undefined && ended.end !== null) this.#forget(ended);
  }

  // ---- the program's side

  /** A chunk: `data` is the member as JSON text, of `bytes` bytes, or undefined. */
  chunk(ticket, data, bytes) {
    const attempt = this.#attempts.get(ticket);
    if (attempt === undefined || attempt.end !== null || attempt.cancelled) return;
    const seq = attempt.nextSeq++;
    const text = attemptFrame('request_chunk', attempt, `"seq":${seq}`, data);
    this.#session?.push(text);
    if (!this.#resumable) return;
    // The whole message counts: of tiny chunks most is what is around them.
    const size = bytes + text.length - (data?.length ?? 0);
    const shortened = this.#replay.add(attempt, { seq, text, bytes: size });
    if (this.#session !== null) return;
    for (const stream of shortened) this.#overflow(stream);
  }

  progress(ticket, data) {
    const attempt = this.#attempts.get(ticket);
    if (attempt === undefined || attempt.end !== null || attempt.cancelled) return;
    this.#session?.push(attemptFrame('request_progress', attempt, data));
  }

  /**
   * A handler has returned.
   *
   * @param {string} [data] the member `data` or `error` of its end as JSON text, with its key
   */
  returned(ticket, type, data) {
    this.#handlers -= 1;
    const attempt = this.#attempts.get(ticket);
    if (attempt !== undefined && attempt.end === null) {
      if (attempt.cancelled)
        this.#end(attempt, errorFrame(attempt, 'CANCELLED', `The request was cancelled: ${attempt.cancelReason}`));
      else this.#end(attempt, attemptFrame(type, attempt, data));
    }
    this.#onChange();
  }

  #end(attempt, text) {
    attempt.end = text;
    if (this.#resumable) attempt.stopKeeping = startTimer(KEEP_END_MS, () => this.#forget(attempt));
    if (this.#session !== null) this.#sendEnd(attempt);
  }

  #sendEnd(attempt) {
    this.#session.push(attempt.end, {
      onHanded: () => {
        attempt.endHanded = true;
        if (!this.#resumable) this.#forget(attempt);
        this.#onChange();
      },
    });
  }

  #overflow(attempt) {
    this.#fail(
      attempt,
      'RESUME_OVERFLOW',
      'The connection was away for longer than the chunks of this stream could be kept',
    );
  }

  /** The server has closed the connection because of this message: its request can't go on. */
  tooBig({ text, bytes }) {
    const attempt = this.#list().find(({ end }) => end === text) ?? this.#replay.streamOf(text);
    if (attempt !== undefined) this.#fail(attempt, 'MESSAGE_TOO_BIG', `The server takes no message of ${bytes} bytes`);
  }

  /** Ends a request whatever its handler does. Chunks that the server hasn't got are not sent any more. */
  #fail(attempt, code, message) {
    const wasRunning = attempt.end === null;
    attempt.chunksLost = true;
    attempt.stopKeeping();
    this.#replay.forget(attempt);
    this.#end(attempt, errorFrame(attempt, code, message));
    if (wasRunning) this.#abort(attempt, code, message);
  }

  // ---- connections that come and go

  /** A connection has been registered: `resumed` as its ack says, or undefined. */
  connected(session, { resumable, resumed }) {
    this.#session = session;
    this.#resumable = resumable;
    const nextSeqs = new Map();
    for (const entry of Array.isArray(resumed) ? resumed : [])
      nextSeqs.set(`${entry?.attempt}:${entry?.requestId}`, entry?.nextSeq);
    for (const attempt of this.#list()) {
      const nextSeq = nextSeqs.get(`${attempt.attempt}:${attempt.requestId}`);
      if (Number.isInteger(nextSeq) && nextSeq >= 0) this.#resume(attempt, nextSeq);
      else this.#drop(attempt);
    }
  }

  #resume(attempt, nextSeq) {
    const chunks = attempt.stream && !attempt.chunksLost ? this.#replay.from(attempt, nextSeq, attempt.nextSeq) : [];
    if (chunks === undefined) {
      this.#overflow(attempt);
      return;
    }
    for (const { text } of chunks) this.#session.push(text);
    if (attempt.end !== null) this.#sendEnd(attempt);
  }

  /** The connection is gone. Without a resume nothing survives it. */
  disconnected() {
    this.#session = null;
    for (const attempt of this.#list()) {
      attempt.endHanded = false;
      if (!this.#resumable) this.#drop(attempt);
    }
  }

  /** Aborts what runs, and leaves it to the handlers what they say to that. */
  abortAll(code, message) {
    for (const attempt of this.#list()) {
      if (attempt.end === null && !attempt.cancelled) this.#abort(attempt, code, message);
    }
  }

  /** No connection will come any more. */
  close() {
    this.#session = null;
    for (const attempt of this.#list()) this.#drop(attempt);
  }

  /** The server doesn't want this attempt any more; its handler may go on for a while. */
  #drop(attempt) {
    if (attempt.end === null && !attempt.cancelled)
      this.#abort(attempt, 'DISCONNECTED', 'The connection to the server is lost');
    this.#forget(attempt);
  }

  #abort({ ticket }, code, message) {
    this.#post({ type: 'abort', ticket, code, message });
  }

  #forget(attempt) {
    attempt.stopKeeping();
    this.#replay.forget(attempt);
    this.#attempts.delete(attempt.ticket);
    const ofId = this.#byId.get(attempt.requestId);
    ofId?.delete(attempt.attempt);
    if (ofId?.size === 0) this.#byId.delete(attempt.requestId);
    this.#onChange();
  }

  #list() {
    return [...this.#attempts.values()];
  }

  #ofId(requestId) {
    return [...(this.#byId.get(requestId)?.values() ?? [])];
  }
}

module.exports = { Attempts };
