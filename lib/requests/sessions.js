'use strict';

const { now } = require('../time/clock.js');
const { DONE, HELD, RUNNING, SUSPENDED } = require('./request.js');
const { cancelText } = require('./wire.js');

/** A request whose end is ready at a worker that resumed is lost if that end does not come within this time, in ms. */
const READY_END_MS = 10_000;
/** Heartbeats in a row that do not name a request, before it counts as lost to its worker. */
const MISSED_BEATS = 2;
/** Most requests that one heartbeat has cancelled since nobody knows them. */
const MAX_UNKNOWN = 100;

/**
 * What sessions of workers mean to the requests on them: which a heartbeat no longer names, what becomes of those whose
 * worker is lost, and which go on when it comes back.
 */
class Sessions {
  #dispatcher;
  #host;
  #resumeGraceMs;
  /** Sessions that ended and may be resumed, by their ids: { workerId, requests }. */
  #suspended = new Map();

  constructor(dispatcher, host, resumeGraceMs) {
    this.#dispatcher = dispatcher;
    this.#host = host;
    this.#resumeGraceMs = resumeGraceMs;
  }

  get offersResume() {
    return this.#resumeGraceMs > 0;
  }

  // ---- A session ends ----

  /**
   * A worker has left the pool: its requests leave its record, before any handler sees that.
   *
   * @param mayResume Whether the worker may come back and go on: not after it said goodbye, nor when it was sent away
   */
  onLost(record, mayResume) {
    const requests = [...record.requests];
    record.requests.clear();
    const waits = mayResume && record.canResume && this.offersResume;
    const lost = [];
    for (const request of requests) {
      this.#host.detach(record, request);
      request.record = null;
      if (request.state === HELD) this.#dispatcher.forget(request);
      else if (waits) this.#suspend(record, request);
      else lost.push(request);
    }
    for (const request of lost) this.#dispatcher.lose(request);
  }

  #suspend(record, request) {
    let session = this.#suspended.get(record.sessionId);
    if (session === undefined) {
      session = { workerId: record.id, requests: new Set() };
      this.#suspended.set(record.sessionId, session);
    }
    session.requests.add(request);
    request.state = SUSPENDED;
    if (request.isHosted) request.away();
    request.stateEndsAt = now() + this.#resumeGraceMs;
    this.#dispatcher.schedule(request);
  }

  /** A request no longer waits for its worker. */
  leave(request) {
    const { sessionId } = request.lastRecord;
    const session = this.#suspended.get(sessionId);
    if (session === undefined) return;
    session.requests.delete(request);
    if (session.requests.size === 0) this.#suspended.delete(sessionId);
  }

  /** The server stops. */
  clear() {
    this.#suspended.clear();
  }

  // ---- A session begins ----

  /**
   * What becomes of the requests that a registration names. Nothing changes before `resume` or `end` is called.
   *
   * @param named The registration's member `resume`, whatever came
   * @returns {{members: string, resumed: object[]}} What the ack says, and what to pass to `onRegistered`
   */
  plan(workerId, named) {
    const session = this.#sessionOf(workerId, named?.sessionId);
    const resumed = [];
    const dropped = [];
    const seen = new Set();
    for (const entry of Array.isArray(named?.requests) ? named.requests : []) {
      const requestId = entry?.requestId;
      if (typeof requestId !== 'string' || seen.has(requestId)) continue;
      seen.add(requestId);
      const request = this.#dispatcher.get(requestId);
      const isWanted = session?.requests.has(request) === true && request.attempt === entry.attempt;
      if (isWanted) resumed.push({ request, isReady: entry.done === true });
      else dropped.push(requestId);
    }
    const entries = resumed.map(({ request }) => {
      const nextSeq = request.isStream ? request.nextSeq : 0;
      return `{"requestId":${request.idText},"attempt":${request.attempt},"nextSeq":${nextSeq}}`;
    });
    return { members: `,"resumed":[${entries.join(',')}],"dropped":${JSON.stringify(dropped)}`, resumed };
  }

  #sessionOf(workerId, sessionId) {
    if (typeof sessionId !== 'string') return undefined;
    const session = this.#suspended.get(sessionId);
    return session?.workerId === workerId ? session : undefined;
  }

  /** A worker has registered: what it resumes goes on there, and what else waited for it is lost. */
  onRegistered(record, resumed) {
    for (const { request, isReady } of resumed) {
      this.leave(request);
      request.state = RUNNING;
      request.record = record;
      request.lastRecord = record;
      request.noteAnswer();
      request.missedBeats = 0;
      request.stateEndsAt = isReady ? now() + READY_END_MS : Infinity;
      this.#host.attach(record, request);
      if (request.isHosted) request.back();
      this.#dispatcher.schedule(request);
    }
    this.endFor(record.id);
  }

  /** A worker with this id has registered at another node: it does not come back here. */
  endFor(workerId) {
    for (const session of [...this.#suspended.values()]) {
      if (session.workerId !== workerId) continue;
      for (const request of [...session.requests]) this.giveUp(request);
    }
  }

  /** The worker does not come back for a request. */
  giveUp(request) {
    this.leave(request);
    this.#dispatcher.lose(request);
  }

  // ---- A session goes on ----

  /** A heartbeat that says which requests its worker has. */
  onActive(record, { workerId, active }) {
    if (workerId !== record.id || !Array.isArray(active) || active.some((id) => typeof id !== 'string')) return;
    const named = new Set(active);
    for (const request of [...record.requests]) this.#judge(request, named.has(request.requestId));
    let unknown = 0;
    for (const requestId of named) {
      if (unknown >= MAX_UNKNOWN) break;
      const request = this.#dispatcher.get(requestId);
      if (request?.record === record || this.#host.isTrackedOn(record, requestId)) continue;
      const older = request?.formerAttemptOn(record.id) ?? this.#host.formerAttempt(requestId, record.id);
      const idText = JSON.stringify(requestId);
      const text =
        older === undefined ? cancelText(idText, undefined, 'unknown') : cancelText(idText, older, 'superseded');
      this.#host.send(record, text);
      unknown += 1;
    }
  }

  #judge(request, isNamed) {
    // A callback of a request that got another's slot may have stopped the server.
    if (request.state === DONE) return;
    // Before the worker has taken it, or was sent the cancel, a heartbeat may have been on its way already.
    if (!request.isAcknowledged && request.state !== HELD) return;
    request.missedBeats = isNamed ? 0 : request.missedBeats + 1;
    if (request.missedBeats < MISSED_BEATS) return;
    if (request.state === HELD) this.#dispatcher.confirm(request);
    else this.#dispatcher.lose(request);
  }
}

module.exports = { Sessions };
