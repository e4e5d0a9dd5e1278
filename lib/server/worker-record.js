'use strict';

const { beginRequest, endRequest } = require('../workers/request-counts.js');
const { BUFFERED_AMOUNT_PAGE_SLOTS, RowField } = require('../native/abi.js');
const { AUTH, STATUSES, toWorkerInfo } = require('../workers/worker-info.js');
const { RESUME } = require('../requests/wire.js');

const {
  Key: KEY,
  Status: STATUS,
  LastHeartbeat: LAST_HEARTBEAT,
  ActiveRequests: ACTIVE_REQUESTS,
  CompletedRequests: COMPLETED_REQUESTS,
} = RowField;

const NONE = Object.freeze(new Set());

/** The same number, without the object of its own in which V8 keeps an element of a Float64Array. */
const small = (number) => (number === (number | 0) ? number | 0 : number);

/**
 * JavaScript's side of a worker of the server: what only JavaScript can hold (its requests, its capabilities as
 * they came) and a copy of the native side's state, which is brought up to date from rows of doubles.
 */
class WorkerRecord {
  #pendingRequests;
  #categoryActiveRequests;
  #requestCategories;
  /** What `toSharedInfo` gave, while it is true. */
  #info = null;
  #registered;
  #seen = NaN;
  /** Both as Dates, of a worker whose messages are handled. All that one says which takes requests changes the second. */
  #connectedAt = null;
  #lastHeartbeat = null;
  /** As it came: the capabilities are the application's as well. */
  #max;

  /** The requests of `request()` that it has. Made when there is one. */
  #requests = NONE;

  /**
   * @param features those that it shares with this server
   * @param row the worker's first state
   * @param auth what the application has said of it when it let it in, if anything
   */
  constructor(peer, { workerId, workerName, sessionId, bufferedAmountIndex }, capabilities, features, row, auth) {
    /** Its connection, until it leaves. */
    this.peer = peer;
    this.formerPeer = null;
    this.key = small(row[KEY]);
    /**
     * Where the native side shows its buffered amount: over all pages, and in its own, which is looked up when it is
     * needed.
     */
    this.bufferedAmountIndex = bufferedAmountIndex;
    this.bufferedAmountPage = undefined;
    this.bufferedAmountSlot = bufferedAmountIndex % BUFFERED_AMOUNT_PAGE_SLOTS;
    /**
     * Bytes that were published for it since everything published was last taken, and which time that was: see
     * `Submissions`.
     */
    this.departing = 0;
    this.departingSince = -1;
    /** The places in the native side's list of the categories that it limits; null while nobody has asked. */
    this.places = null;
    this.id = workerId;
    this.name = workerName;
    this.capabilities = capabilities;
    this.#max = capabilities.maxConcurrentRequests;
    this.sessionId = sessionId;
    this[AUTH] = auth;
    /** It speaks of requests, and may come back and go on with them. */
    this.speaksRequests = features.length > 0;
    this.canResume = features.includes(RESUME);
    /** It gets nothing new: its status stays what it is when requests come and go. */
    this.drains = false;
    /** This server has sent it away: it is not waited for. */
    this.isDismissed = false;
    this.update(row, 0);
    this.#registered = this.#seen;
  }

  /** The requests that are tracked. Made when they are asked for: most workers of a large fleet are idle. */
  get pendingRequests() {
    this.#pendingRequests ??= new Set();
    return this.#pendingRequests;
  }

  /** Active requests by category. Made when asked for, too. */
  get categoryActiveRequests() {
    this.#categoryActiveRequests ??= new Map();
    return this.#categoryActiveRequests;
  }

  /** The category of each request that has one. As the others. */
  get requestCategories() {
    this.#requestCategories ??= new Map();
    return this.#requestCategories;
  }

  /** Takes over the state in `rows` from `at` on: key, status, last heartbeat, active and completed requests. */
  update(rows, at) {
    const status = STATUSES[rows[at + STATUS]];
    const seen = rows[at + LAST_HEARTBEAT];
    const activeRequests = small(rows[at + ACTIVE_REQUESTS]);
    const completedRequests = small(rows[at + COMPLETED_REQUESTS]);
    if (
      seen === this.#seen &&
      status === this.status &&
      activeRequests === this.activeRequests &&
      completedRequests === this.completedRequests
    ) {
      return;
    }
    if (seen !== this.#seen) this.#lastHeartbeat = null;
    this.#seen = seen;
    this.status = status;
    this.activeRequests = activeRequests;
    this.completedRequests = completedRequests;
    this.#info = null;
  }

  /** When it registered. */
  get connectedAt() {
    return this.#connectedAt ?? new Date(this.#registered);
  }

  /** When it last gave a sign of life. */
  get lastHeartbeat() {
    return this.#lastHeartbeat ?? new Date(this.#seen);
  }

  /** The requests of `request()` that it has. */
  get requests() {
    return this.#requests;
  }

  addRequest(request) {
    if (this.#requests === NONE) this.#requests = new Set();
    this.#requests.add(request);
  }

  removeRequest(request) {
    if (this.#requests !== NONE) this.#requests.delete(request);
  }

  /** What the worker can do from now on. */
  setCapabilities(capabilities) {
    this.capabilities = capabilities;
    this.#max = capabilities.maxConcurrentRequests;
    this.places = null;
    this.#info = null;
  }

  track(requestId, category) {
    beginRequest(this, this.drains ? null : this.#max, requestId, category);
    this.#info = null;
  }

  /** Returns the category that the request was tracked under. */
  release(requestId, incrementCompleted) {
    this.#info = null;
    return endRequest(this, this.#max, requestId, incrementCompleted);
  }

  /** A new `WorkerInfo`. */
  toInfo() {
    return toWorkerInfo(this);
  }

  /** The `WorkerInfo` that comes with its messages: the same one until something changes. */
  toSharedInfo() {
    if (this.#info === null) {
      this.#connectedAt ??= this.connectedAt;
      this.#lastHeartbeat ??= this.lastHeartbeat;
      this.#info = toWorkerInfo(this);
    }
    return this.#info;
  }
}

module.exports = { WorkerRecord };
