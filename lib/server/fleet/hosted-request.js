'use strict';

const { now } = require('../../time/clock.js');
const { Request } = require('../../requests/request.js');
const { readError } = require('../../requests/wire.js');

/** What a request ends with that a worker has rejected: its origin decides where it goes next. */
class Rejection {
  constructor(workerId) {
    this.workerId = workerId;
  }
}

/** The chunks of a stream whose reader is at another node. */
class ForwardedChunks {
  /** Chunks count at the origin, where the reader is. */
  isAwaited = false;
  #say;
  #hasRoom;

  /** @param say says to the origin what its worker has just said, with the bytes of that */
  constructor(say, hasRoom) {
    this.#say = say;
    this.#hasRoom = hasRoom;
  }

  push(_data, bytes) {
    if (!this.#hasRoom()) return false;
    this.#say(bytes);
    return true;
  }

  end() {}

  fail() {}
}

/**
 * A request of another node's on a worker of this server. It runs here as every request does, but never waits, and is
 * tried once: its origin is notified of all that becomes of it. What its worker says goes to the origin as the worker
 * has written it: JSON that is parsed and written again would lose `-0` and `1e999`.
 */
class HostedRequest extends Request {
  #hosted;
  #owner;
  #isOver = false;
  /** Whether its origin tries it again if that is allowed. */
  #mayGoOn;
  /** Whether somebody at its origin may look at its worker. */
  #isWatched;
  /** What its worker has just said, and whether all of that message is data. */
  #source = null;
  #isWhole = false;

  /**
   * @param claim what the origin asks for: see `claimOf` in `origin.js`
   * @param {string} [payloadText]
   * @param hosted notifies the origin: see `lib/cluster/hosting.js`
   * @param owner `forget(hosted)`, `keepFormer(hosted, requestId, workerId, attempt)`
   * @param {() => boolean} hasRoom whether more chunks may be said to the origin
   */
  constructor(claim, payloadText, { hosted, owner, hasRoom, workerOf }) {
    const settings = {
      category: claim.c,
      modelMatch: claim.x ? 'exact' : 'loose',
      // Demands with the default are known by their model.
      isDefaultMatch: false,
      workerId: claim.w,
      where: claim.wh,
      affinity: claim.af,
      priority: claim.p,
      fairKey: undefined,
      timeoutMs: claim.ms ?? Infinity,
      queueTimeoutMs: 0,
      idleTimeoutMs: claim.idle ?? Infinity,
      maxAttempts: 1,
      onStarted: () => hosted.taken(this.#worker, this.attempt),
      onProgress: () => hosted.progress(this.#source.text, this.#isWhole),
    };
    super({ requestId: claim.id, model: claim.m, signal: undefined, settings }, payloadText, false, 0);
    this.#hosted = hosted;
    this.#owner = owner;
    this.#mayGoOn = claim.re === true;
    this.#isWatched = claim.wi === true;
    this.workerOf = workerOf;
    this.attempt = claim.a - 1;
    this.traceText = claim.tr;
    if (claim.st === true) {
      this.buffer = new ForwardedChunks((bytes) => hosted.chunk(this.#source.text, this.#isWhole, bytes), hasRoom);
    }
    for (const [workerId, ms, attempt] of claim.av ?? []) {
      this.rejectedBy ??= new Map();
      this.rejectedBy.set(workerId, { times: 1, until: now() + ms, attempt });
    }
    // Nobody awaits it here.
    this.promise.catch(() => {});
  }

  /** Its worker, as its origin is notified of it: the whole state lists all that the worker has. */
  get #worker() {
    return this.#isWatched ? this.workerOf(this.record) : { id: this.record.id };
  }

  get isHosted() {
    return true;
  }

  get nodeId() {
    return this.#hosted.nodeId;
  }

  /**
   * @param source what its worker says at the moment; `null` when that is over
   * @param isWhole whether the data is the whole message
   */
  hears(source, isWhole) {
    this.#source = source;
    this.#isWhole = isWhole;
  }

  resolve(value) {
    super.resolve(value);
    this.#end(() => this.#hosted.result(this.#source.text, this.#isWhole));
  }

  reject(error) {
    super.reject(error);
    this.#end(() => this.#tell(error));
  }

  #end(tell) {
    if (this.#isOver) return;
    this.#isOver = true;
    tell();
  }

  #tell(error) {
    if (error instanceof Rejection) {
      this.#goesOn();
      this.#hosted.rejected(error.workerId);
      return;
    }
    const { code, message, data } = error;
    switch (code) {
      case 'QUEUE_TIMEOUT':
      case 'NO_WORKER':
      case 'QUEUE_FULL':
        this.#hosted.declined('room');
        break;
      case 'SERVER_STOPPING':
        this.#hosted.error({ code: 'WORKER_LOST', message: 'The worker was lost', isRetryable: true });
        break;
      default: {
        const isRetryable = code === 'WORKER_LOST' || (code === 'WORKER_ERROR' && readError(data).retryable);
        if (isRetryable && this.#mayGoOn && !this.hasChunks) this.#goesOn();
        const hasData = data !== undefined;
        this.#hosted.error({ code, message, isRetryable }, hasData ? this.#source.text : undefined, this.#isWhole);
      }
    }
  }

  /** Its origin makes another attempt: this one may be named by a heartbeat all the same, and is an older one then. */
  #goesOn() {
    this.#owner.keepFormer(this.#hosted, this.requestId, this.lastRecord.id, this.attempt);
  }

  /** Its origin has let go of it, and is notified only that its slot is free again. */
  letGo() {
    this.#isOver = true;
  }

  /** A worker has not taken it. */
  rejectionBy(workerId) {
    return new Rejection(workerId);
  }

  /** Its worker is lost, and may come back; or has. */
  away() {
    this.#hosted.away();
  }

  back() {
    this.#hosted.back(this.#worker);
  }

  /** Nothing of it is left here. */
  onForgotten() {
    this.#owner.forget(this.#hosted);
  }
}

module.exports = { HostedRequest };
