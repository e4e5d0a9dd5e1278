'use strict';

const { SilenceVerdict } = require('../native/abi.js');
const native = require('../native/addon.js');
const { CandidateLists } = require('./candidates.js');
const { beginRequest, endRequest } = require('../workers/request-counts.js');
const { capabilitiesText, checkWorker } = require('./connected-worker.js');
const { guardedLogger } = require('../server/guarded-logger.js');
const { SILENT_LOGGER, wrongType } = require('../workers/handlers.js');
const { RequestHolders } = require('../workers/request-holders.js');
const { statusNumber } = require('../workers/status-rules.js');
const { WorkerStatus, toWorkerInfo } = require('../workers/worker-info.js');

/** `WebSocket.OPEN`, without asking for `ws` where nobody uses it. */
const OPEN = 1;

const SHUTDOWN = native.closingOfShutdown();
const IS_REACHABLE = native.reachableStatuses();
const { Unhealthy: UNHEALTHY, Dead: DEAD } = SilenceVerdict;

/**
 * Workers that the caller made, in the order of their addition. The objects stay the caller's: every answer is made
 * from what their fields say at that moment. Only their capabilities are read once, when they are added. The rules are
 * the native ones; what is done here is to read and to write fields.
 */
class WorkerPool {
  #logger;
  /** For each id a record: the worker, its number in the roster, and what follows from its capabilities. */
  #records = new Map();
  #byNumber = new Map();
  #lastNumber = 0;
  #roster = new native.Roster();
  #lists = new CandidateLists(this.#roster, (number) => this.#byNumber.get(number).worker);
  #holders = new RequestHolders({
    // The truth is in the workers' own `pendingRequests`, which their owners may change.
    isHolder: ({ isMember, worker }, requestId) => isMember && worker.pendingRequests.has(requestId),
    orderOf: (record) => record.number,
    search: (requestId) => [...this.#records.values()].filter(({ worker }) => worker.pendingRequests.has(requestId)),
  });

  constructor(logger = SILENT_LOGGER) {
    this.#logger = guardedLogger(logger);
  }

  add(worker) {
    checkWorker(worker);
    const { id } = worker;
    const replaced = this.#records.get(id);
    // A worker that replaces one of its id takes its place, and so its number, which stands for the place.
    const number = replaced?.number ?? this.#lastNumber + 1;
    const max = this.#read(worker, number);
    const record = { worker, number, max, isMember: true };
    if (replaced === undefined) this.#lastNumber = number;
    else this.#dismiss(replaced);
    this.#records.set(id, record);
    this.#byNumber.set(number, record);
    this.#lists.forget();
  }

  remove(workerId) {
    const record = this.#records.get(workerId);
    if (record === undefined) return undefined;
    this.#dismiss(record);
    this.#records.delete(workerId);
    this.#byNumber.delete(record.number);
    this.#roster.remove(record.number);
    this.#lists.forget();
    return record.worker;
  }

  get(workerId) {
    return this.#records.get(workerId)?.worker;
  }

  has(workerId) {
    return this.#records.has(workerId);
  }

  *values() {
    for (const { worker } of this.#records.values()) yield worker;
  }

  getAvailableWorker(model, category) {
    return this.#candidates(model, category).leastLoaded();
  }

  getAnyAvailableWorker() {
    for (const { worker } of this.#records.values()) {
      if (IS_REACHABLE[statusNumber(worker.status)]) return worker;
    }
    return null;
  }

  getAvailableSlotCount(model, category) {
    return this.#candidates(model, category).freeSlots();
  }

  getCount() {
    return this.#records.size;
  }

  getAvailableCount() {
    let count = 0;
    for (const { worker } of this.#records.values()) {
      if (worker.status === WorkerStatus.Available) count += 1;
    }
    return count;
  }

  getWorkerInfoList() {
    return Array.from(this.values(), toWorkerInfo);
  }

  trackRequest(workerId, requestId, category) {
    const record = this.#records.get(workerId);
    if (record === undefined) return;
    beginRequest(record.worker, record.max, requestId, category ?? undefined);
    this.#holders.add(requestId, record);
  }

  releaseRequest(requestId, options) {
    const record = this.#holders.take(requestId);
    if (record === undefined) return;
    endRequest(record.worker, record.max, requestId, options?.incrementCompleted === true);
  }

  checkHealth(timeoutMs) {
    if (typeof timeoutMs !== 'number') throw wrongType('timeoutMs', 'a number', timeoutMs);
    const now = Date.now();
    const dead = [];
    for (const [workerId, { worker }] of this.#records) {
      const timeSinceHeartbeat = now - worker.lastHeartbeat.getTime();
      const verdict = native.judgeSilence(timeSinceHeartbeat, timeoutMs);
      if (verdict >= UNHEALTHY && worker.status !== WorkerStatus.Unhealthy) {
        worker.status = WorkerStatus.Unhealthy;
        this.#logger.warn('Worker heartbeat timeout', { workerId, timeSinceHeartbeat, threshold: timeoutMs });
      }
      if (verdict === DEAD) dead.push(workerId);
    }
    return dead;
  }

  send(workerId, message) {
    const record = this.#records.get(workerId);
    if (record === undefined) return false;
    try {
      return sendText(record.worker, JSON.stringify(message));
    } catch {
      return false;
    }
  }

  broadcast(message) {
    const text = JSON.stringify(message);
    for (const { worker } of this.#records.values()) {
      try {
        sendText(worker, text);
      } catch {
        // A socket that can't take it keeps it from nobody else.
      }
    }
  }

  closeAll() {
    const workers = [...this.values()];
    for (const record of this.#records.values()) record.isMember = false;
    this.#records.clear();
    this.#byNumber.clear();
    this.#roster.clear();
    this.#holders.clear();
    this.#lists.forget();
    for (const { websocket } of workers) {
      try {
        websocket.close(SHUTDOWN.code, SHUTDOWN.reason);
      } catch {
        // A socket that can't be closed keeps no other one open.
      }
    }
  }

  #candidates(model, category) {
    if (typeof model !== 'string') throw wrongType('model', 'a string', model);
    if (category === undefined || category === null) return this.#lists.get(model, undefined);
    if (typeof category !== 'string') throw wrongType('category', 'a string', category);
    return this.#lists.get(model, category);
  }

  /** Enters a worker's capabilities in the roster, and returns its maximum; throws before anything has changed. */
  #read({ capabilities }, number) {
    const text = capabilitiesText(capabilities);
    try {
      return this.#roster.set(number, text);
    } catch (error) {
      throw new TypeError(error.message, { cause: error });
    }
  }

  #dismiss(record) {
    record.isMember = false;
    this.#holders.forget(record, record.worker.pendingRequests);
  }
}

function sendText({ websocket }, text) {
  if (websocket.readyState !== OPEN || text === undefined) return false;
  websocket.send(text);
  return true;
}

module.exports = { WorkerPool };
