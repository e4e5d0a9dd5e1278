'use strict';

const { callBack } = require('./callbacks.js');
const { Calls } = require('./calls.js');
const { now } = require('../time/clock.js');
const { outcomeOf } = require('./errors.js');
const { Failures } = require('./failures.js');
const { DONE, ELSEWHERE, HELD, PAUSING, RUNNING, SUSPENDED } = require('./request.js');
const { pauseMs } = require('./pause.js');
const { Schedule } = require('./schedule.js');
const { Signals } = require('./signals.js');
const { RequestStream } = require('./stream.js');
const { Waiting } = require('./waiting.js');

/**
 * The life of every request from the call to its end: it waits for a slot, runs on a worker, is tried again where that is
 * allowed, and its caller learns of the end exactly once.
 *
 * Which request is next, and which worker it gets, the native queue decides (`slots`); promises, signals and callbacks are here.
 * How a new request is judged is in `calls.js`, how it gets a slot or waits for one in `waiting.js`, what is due when in `schedule.js`, what workers say in
 * `answers.js`, and what becomes of requests whose session ends in `sessions.js`.
 */
class Dispatcher {
  /** Requests under way by id. */
  #requests = new Map();
  #signals = new Signals((requests, reason) => this.#onAbort(requests, reason));
  /** How many callers have not got their end. */
  #unsettled = 0;
  #calls;
  #host;
  #slots;
  #schedule;
  #failures;
  #waiting;
  /** This server's part in a fleet of several: see `lib/server/fleet/fleet.js`. `null` without one. */
  #fleet = null;

  /**
   * @param options See `Calls`.
   * @param host What the running server does for requests: see `RequestHost` in `lib/server/request-host.js`.
   */
  constructor(options, host) {
    this.#calls = new Calls(this, host, options);
    this.#host = host;
    this.#slots = host.slots;
    this.#schedule = new Schedule(this, host);
    this.#failures = new Failures(host.slots);
    this.#waiting = new Waiting({ dispatcher: this, host, schedule: this.#schedule, failures: this.#failures });
  }

  /** From now on requests may go to other nodes, and come from them. */
  joinFleet(fleet) {
    this.#fleet = fleet;
    this.#failures.joinFleet(fleet);
    this.#waiting.joinFleet(fleet);
  }

  get host() {
    return this.#host;
  }

  // ---- Calls ----

  /** @returns {Promise<unknown>} */
  request(payload, options) {
    return this.#calls.begin(payload, options, false).promise;
  }

  stream(payload, options) {
    return new RequestStream(this.#calls.begin(payload, options, true), this);
  }

  /** Whether a request with that id is under way. */
  has(requestId) {
    return this.#requests.size > 0 && this.#requests.has(requestId);
  }

  get(requestId) {
    return this.#requests.get(requestId);
  }

  /** How many callers have not got their end. */
  get unsettled() {
    return this.#unsettled;
  }

  /** Whether somebody waits for a slot. */
  get hasWaiting() {
    return this.#waiting.hasAny;
  }

  /** A request, of a caller or of another node, is under way. */
  enter(request) {
    this.#begun(request);
    try {
      this.#signals.add(request);
    } catch (error) {
      this.abort(request, error);
      return;
    }
    this.submit(request);
  }

  /** The same with a slot that has been kept for it. */
  enterWith(request, slot) {
    this.#begun(request);
    this.#slots.giveKept(request, slot);
    if (!this.start(request)) this.submit(request);
  }

  #begun(request) {
    this.#requests.set(request.requestId, request);
    this.#unsettled += 1;
    request.beganAt = now();
  }

  // ---- Waiting ----

  /** A request, new or on its way to a further attempt, gets a free slot or waits for one. */
  submit(request) {
    this.#waiting.submit(request);
  }

  /** It leaves the queue without a slot. */
  withdraw(request) {
    this.#waiting.withdraw(request);
  }

  /** No slot became free for it in its queue time. */
  stopWaiting(request) {
    this.#waiting.end(request);
  }

  /** Gives free slots to those that wait, until there is none for any of them. To be called whenever a slot may be free. */
  dispatch() {
    this.#waiting.dispatch();
  }

  /** Requests that workers have rejected may go to them again: what is free is given away, here and elsewhere. */
  wake() {
    this.dispatch();
    this.#fleet?.onWake();
  }

  // ---- Running ----

  /** Sends a request to the worker whose slot it was given. False if the worker could not be sent to. */
  start(request) {
    const { record } = request;
    const time = now();
    request.attempt += 1;
    if (!this.#host.send(record, this.#host.textFor(request, record, request.timeoutAt - time))) {
      this.#slots.giveBack(request);
      return false;
    }
    // One of another node's is counted at its origin, its end as well.
    if (!request.isHosted) this.#host.metrics.sent(request.model, request.sentSince, time - request.beganAt);
    request.state = RUNNING;
    request.attempts += 1;
    request.lastRecord = record;
    request.updateTraceContext();
    request.isAcknowledged = false;
    request.missedBeats = 0;
    request.noteAnswer();
    request.nextSeq = 0;
    request.stateEndsAt = Infinity;
    this.#host.occupy(record, request);
    this.#schedule.set(request);
    if (request.options.onStarted !== undefined) this.call(request, 'onStarted', record.toInfo(), request.attempt);
    return true;
  }

  /** Its slot is free again; what waits gets it before this returns. `completed`: the worker did what it was asked to. */
  release(request, completed = false) {
    this.#host.vacate(request.record, request, completed);
    request.record = null;
  }

  /** The attempt failed in a way that allows a further one: after a pause, if there is one left. Else `error` is the end. */
  retry(request, error) {
    if (request.isSettled) {
      this.forget(request);
    } else if (request.attempts >= request.options.maxAttempts || request.hasChunks) {
      this.fail(request, error);
    } else {
      request.triedOn ??= new Map();
      // Who was lost with its node may have been on none yet.
      if (request.lastRecord !== null) request.triedOn.set(request.lastRecord.id, request.attempt);
      request.sentSince = error.code === 'WORKER_LOST' ? 'lost' : 'retryable';
      request.state = PAUSING;
      request.stateEndsAt = now() + pauseMs(request.attempts);
      request.queueLeftMs = request.options.queueTimeoutMs;
      this.#schedule.set(request);
    }
  }

  /** Its worker has it no more, or does not come back in time. */
  lose(request) {
    const { record } = request;
    if (record !== null) this.release(request);
    else if (request.state === SUSPENDED) this.#host.leaveSuspended(request);
    this.retry(request, this.error(request, 'WORKER_LOST', 'The worker was lost'));
    if (record !== null) this.dispatch();
  }

  /** A worker has not taken the request: it goes to another one, or waits again. */
  onRejected(request) {
    const { id } = request.record;
    this.release(request);
    if (request.isHosted) this.fail(request, request.rejectionBy(id));
    else this.sendOn(request, id);
    this.dispatch();
  }

  /** The worker with that id does not have it, and gets it again only after a pause, or if no other could take it. */
  sendOn(request, workerId) {
    request.attempts -= 1;
    request.sentSince = 'rejected';
    request.updateTraceContext();
    request.rejectedBy ??= new Map();
    const times = (request.rejectedBy.get(workerId)?.times ?? 0) + 1;
    request.rejectedBy.set(workerId, { times, until: now() + pauseMs(times), attempt: request.attempt });
    this.submit(request);
  }

  // ---- Ends ----

  complete(request, value) {
    this.release(request, true);
    this.succeed(request, value);
    this.dispatch();
  }

  /** The caller gets its result. */
  succeed(request, value) {
    this.#settle(request, 'completed');
    request.resolve(value);
    this.#host.onLess();
    this.forget(request);
  }

  /** The caller gets an error, and nobody anything more of the request. */
  fail(request, error) {
    this.#reject(request, error, outcomeOf(error.code));
    this.forget(request);
  }

  /**
   * The caller gets an error at once; if a worker has the request it is sent a cancel, and keeps the slot until it confirms.
   *
   * @param reason What the worker is sent as the reason
   * @param drops Whether the caller gets none of the chunks that have come
   * @param outcome What is counted
   */
  cancel(request, error, reason, drops = true, outcome = outcomeOf(error.code)) {
    if (request.isSettled) return;
    this.#reject(request, error, outcome, drops);
    if (request.state === ELSEWHERE) {
      // Its node sees to the slot, and says when it is free.
      request.state = HELD;
      request.record = null;
      this.#schedule.set(request);
      this.#fleet.cancel(request, reason);
      return;
    }
    if (request.state !== RUNNING) {
      if (request.ticket !== null) this.withdraw(request);
      this.forget(request);
      return;
    }
    request.state = HELD;
    this.#host.sendCancel(request, reason);
    request.stateEndsAt = now() + this.#host.graceFor(request.record);
    if (request.stateEndsAt <= now()) this.freeUnconfirmed(request);
    else this.#schedule.set(request);
  }

  /** The caller lets go of a request, for a reason of its own. */
  abort(request, reason) {
    this.cancel(request, reason, 'aborted', true, 'cancelled');
  }

  /** Those that run come last: the slot of one may be free at once, and none of the others is to be sent any more. */
  #onAbort(requests, reason) {
    for (const request of requests) if (request.state !== RUNNING) this.abort(request, reason);
    for (const request of requests) this.abort(request, reason);
  }

  /** The whole request, or a silence of its worker, has taken too long. */
  timeOut(request, message) {
    this.cancel(request, this.error(request, 'TIMEOUT', message), 'timeout');
  }

  /** What a worker said, or that it left, ends the wait for its confirmation. */
  confirm(request) {
    this.release(request);
    this.forget(request);
    this.dispatch();
  }

  /** The worker has not confirmed in time: its slot is free all the same. */
  freeUnconfirmed(request) {
    this.#host.limitedLogger.warn('Worker did not confirm cancellation', {
      workerId: request.record.id,
      requestId: request.requestId,
    });
    this.confirm(request);
  }

  #reject(request, error, outcome, drops = false) {
    this.#settle(request, outcome);
    request.reject(error, drops);
    this.#host.onLess();
  }

  /** The caller is about to get its end. */
  #settle(request, outcome) {
    if (!request.isHosted) this.#host.metrics.ended(request.model, outcome, now() - request.beganAt);
    this.#unsettled -= 1;
    this.#signals.delete(request);
  }

  forget(request) {
    if (request.state === SUSPENDED) this.#host.leaveSuspended(request);
    request.state = DONE;
    this.#schedule.delete(request);
    this.#requests.delete(request.requestId);
    if (request.isHosted) request.onForgotten();
    else if (request.fleetNotes !== null) this.#fleet.onForgotten(request);
  }

  /** The server stops: every caller is rejected, and every worker is sent a cancel. */
  stop() {
    for (const request of [...this.#requests.values()]) {
      if (!request.isSettled) this.#settle(request, 'stopping');
      request.reject(this.error(request, 'SERVER_STOPPING', 'The server stops'));
      if (request.state === RUNNING) this.#host.sendCancel(request, 'stopping');
      else if (request.state === ELSEWHERE) this.#fleet.cancel(request, 'stopping');
      request.state = DONE;
    }
    this.#requests.clear();
    this.#waiting.clear();
    this.#schedule.clear();
  }

  // ---- For the others ----

  /** The state of a request was changed: what is due next may be another time. */
  schedule(request) {
    this.#schedule.set(request);
  }

  /** @returns {WorkerRequestError} */
  error(request, code, message, data) {
    return this.#failures.error(request, code, message, data);
  }

  /** Calls one of the caller's callbacks, unless the caller has had its end. */
  call(request, name, ...args) {
    callBack(this.#host, request, name, args);
  }
}

module.exports = { Dispatcher };
