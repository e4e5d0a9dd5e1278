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
  #hosted;
  #hasRoom;

  constructor(hosted, hasRoom) {
    this.#hosted = hosted;
    this.#hasRoom = hasRoom;
  }

  push(data, bytes) {
    if (!this.#hasRoom()) return false;
    this.#hosted.chunk(JSON.stringify(data), bytes);
    return true;
  }

  end() {}

  fail() {}
}

/**
 * A request of another node's on a worker of this server. It runs here as every request does, but never waits, and is
 * tried once: its origin is notified of all that becomes of it.
 */
class HostedRequest extends Request {
  isHosted = true;
  #hosted;
  #node;
  #isOver = false;

  /**
   * @param claim what the origin asks for: see `claimOf` in `origin.js`
   * @param {string} [payloadText]
   * @param hosted notifies the origin: see `lib/cluster/hosting.js`
   * @param node the cluster's, which forgets it
   * @param {() => boolean} hasRoom whether more chunks may be said to the origin
   */
  constructor(claim, payloadText, { hosted, node, hasRoom, workerOf }) {
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
      onStarted: () => hosted.taken(workerOf(this.record), this.attempt),
      onProgress: (data) => hosted.progress(JSON.stringify(data)),
    };
    super({ requestId: claim.id, model: claim.m, signal: undefined, settings }, payloadText, false, 0);
    this.#hosted = hosted;
    this.#node = node;
    this.workerOf = workerOf;
    this.isStream = claim.st === true;
    this.attempt = claim.a - 1;
    this.traceText = claim.tr;
    if (this.isStream) this.buffer = new ForwardedChunks(hosted, hasRoom);
    for (const [workerId, ms] of claim.av ?? []) {
      this.rejectedBy ??= new Map();
      this.rejectedBy.set(workerId, { times: 1, until: now() + ms, attempt: this.attempt });
    }
    // Nobody awaits it here.
    this.promise.catch(() => {});
  }

  get nodeId() {
    return this.#hosted.nodeId;
  }

  resolve(value) {
    super.resolve(value);
    this.#end(() => this.#hosted.result(JSON.stringify(value)));
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
        this.#hosted.error({ code, message, isRetryable }, data === undefined ? undefined : JSON.stringify(data));
      }
    }
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
    this.#hosted.back(this.workerOf(this.record));
  }

  /** Nothing of it is left here. */
  onForgotten() {
    this.#node.forget(this.#hosted);
  }
}

module.exports = { HostedRequest };
