'use strict';

// The collection of workers behind the stand-in: one Map that every question scans.

const { createHash, timingSafeEqual } = require('node:crypto');

const OPEN = 1;
const DEAD_AFTER_TIMEOUTS = 3;

const WorkerStatus = Object.freeze({
  Available: 'available',
  Busy: 'busy',
  Draining: 'draining',
  Unhealthy: 'unhealthy',
});

const nothing = () => {};
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function toWorkerInfo(worker) {
  return {
    id: worker.id,
    name: worker.name,
    status: worker.status,
    capabilities: worker.capabilities,
    sessionId: worker.sessionId,
    connectedAt: worker.connectedAt,
    lastHeartbeat: worker.lastHeartbeat,
    activeRequests: worker.activeRequests,
    completedRequests: worker.completedRequests,
    pendingRequestIds: worker.pendingRequests,
    categoryActiveRequests: worker.categoryActiveRequests,
  };
}

/** Hashing first gives both sides the same length, whatever was passed. */
function safeCompare(a, b) {
  const digest = (text) => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(digest(a), digest(b));
}

const supports = (worker, model) =>
  worker.capabilities.models.some(({ modelId }) => modelId.includes(model) || model.includes(modelId));

function freeSlots(worker, category) {
  const { maxConcurrentRequests, concurrencyLimits } = worker.capabilities;
  const own = Math.max(0, maxConcurrentRequests - worker.activeRequests);
  if (category === undefined || !concurrencyLimits || !Object.hasOwn(concurrencyLimits, category)) return own;
  const used = worker.categoryActiveRequests.get(category) ?? 0;
  return Math.min(own, Math.max(0, concurrencyLimits[category] - used));
}

const load = (worker) => worker.activeRequests / worker.capabilities.maxConcurrentRequests;
const atCapacity = (worker) => worker.activeRequests >= worker.capabilities.maxConcurrentRequests;

class WorkerPool {
  constructor(logger = silent) {
    this.logger = logger;
    this.workers = new Map();
  }

  add(worker) {
    this.workers.set(worker.id, worker);
  }

  remove(id) {
    const worker = this.workers.get(id);
    this.workers.delete(id);
    return worker;
  }

  get(id) {
    return this.workers.get(id);
  }

  has(id) {
    return this.workers.has(id);
  }

  values() {
    return this.workers.values();
  }

  getCount() {
    return this.workers.size;
  }

  getAvailableCount() {
    let count = 0;
    for (const worker of this.workers.values()) if (worker.status === WorkerStatus.Available) count += 1;
    return count;
  }

  getWorkerInfoList() {
    return Array.from(this.workers.values(), toWorkerInfo);
  }

  getAvailableWorker(model, category) {
    let best = null;
    for (const worker of this.workers.values()) {
      if (worker.status !== WorkerStatus.Available || !supports(worker, model)) continue;
      if (freeSlots(worker, category) <= 0) continue;
      if (best === null || load(worker) < load(best)) best = worker;
    }
    return best;
  }

  getAnyAvailableWorker() {
    for (const worker of this.workers.values()) {
      if (worker.status === WorkerStatus.Available || worker.status === WorkerStatus.Busy) return worker;
    }
    return null;
  }

  getAvailableSlotCount(model, category) {
    let count = 0;
    for (const worker of this.workers.values()) {
      if (worker.status === WorkerStatus.Available && supports(worker, model)) count += freeSlots(worker, category);
    }
    return count;
  }

  trackRequest(workerId, requestId, category) {
    const worker = this.workers.get(workerId);
    if (!worker) return;
    worker.activeRequests += 1;
    worker.pendingRequests.add(requestId);
    if (category !== undefined) {
      worker.requestCategories.set(requestId, category);
      worker.categoryActiveRequests.set(category, (worker.categoryActiveRequests.get(category) ?? 0) + 1);
    }
    if (atCapacity(worker)) worker.status = WorkerStatus.Busy;
  }

  releaseRequest(requestId, { incrementCompleted } = {}) {
    for (const worker of this.workers.values()) {
      if (!worker.pendingRequests.delete(requestId)) continue;
      worker.activeRequests = Math.max(0, worker.activeRequests - 1);
      const category = worker.requestCategories.get(requestId);
      if (category !== undefined) {
        worker.requestCategories.delete(requestId);
        worker.categoryActiveRequests.set(category, Math.max(0, worker.categoryActiveRequests.get(category) - 1));
      }
      if (incrementCompleted === true) worker.completedRequests += 1;
      if (worker.status === WorkerStatus.Busy && !atCapacity(worker)) worker.status = WorkerStatus.Available;
      return;
    }
  }

  checkHealth(timeoutMs) {
    const now = Date.now();
    const dead = [];
    for (const worker of this.workers.values()) {
      const timeSinceHeartbeat = now - worker.lastHeartbeat.getTime();
      if (timeSinceHeartbeat <= timeoutMs) continue;
      if (worker.status !== WorkerStatus.Unhealthy) {
        worker.status = WorkerStatus.Unhealthy;
        const context = { workerId: worker.id, timeSinceHeartbeat, threshold: timeoutMs };
        this.logger.warn('Worker heartbeat timeout', context);
      }
      if (timeSinceHeartbeat > timeoutMs * DEAD_AFTER_TIMEOUTS) dead.push(worker.id);
    }
    return dead;
  }

  send(workerId, message) {
    const worker = this.workers.get(workerId);
    if (!worker || worker.websocket.readyState !== OPEN) return false;
    try {
      worker.websocket.send(JSON.stringify(message));
      return true;
    } catch {
      return false;
    }
  }

  broadcast(message) {
    const text = JSON.stringify(message);
    for (const { websocket } of this.workers.values()) if (websocket.readyState === OPEN) websocket.send(text);
  }

  closeAll() {
    for (const { websocket } of this.workers.values()) websocket.close(1001, 'Server shutting down');
    this.workers.clear();
  }
}

module.exports = { WorkerPool, WorkerStatus, toWorkerInfo, safeCompare, atCapacity, silent, OPEN };
