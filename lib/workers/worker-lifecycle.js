'use strict';

const { toWorkerInfo } = require('./worker-info.js');

/** What is logged, and what the application's handlers are called with, when a worker comes and when it goes. */
class WorkerLifecycle {
  #logger;
  #handlers;
  #runApart;

  /**
   * @param {object} parts
   * @param {(handle: () => void) => void} [parts.runApart] runs what is an event of its own to the application, though it is part of
   *   another one
   */
  constructor({ logger, handlers, runApart = (handle) => handle() }) {
    this.#logger = logger;
    this.#handlers = handlers;
    this.#runApart = runApart;
  }

  /** A worker is in the pool. Its handlers are called by `Handlers.connected`. */
  registered({ workerId, workerName, models, maxConcurrentRequests }) {
    this.#logger.debug('Worker registered', { workerId, workerName, models, maxConcurrentRequests });
  }

  /** Another session takes the place of a worker, which `leave` takes out of the pool. Handlers are called only if requests were pending. */
  displace(workerId, worker, leave) {
    this.#logger.debug('Replacing existing worker connection', { workerId });
    leave();
    this.#runApart(() => {
      const count = worker.pendingRequests.size;
      if (count === 0) return;
      this.#logger.warn('Replaced worker had pending requests', { workerId: worker.id, count });
      this.#callDisconnected(worker);
    });
  }

  /** A worker has left the pool because its socket is closed. */
  disconnected(workerId, worker, { code, reason }) {
    const count = worker.pendingRequests.size;
    if (count > 0) this.#logger.warn('Worker disconnected with pending requests', { workerId, count });
    this.#logger.debug('Worker disconnected', { workerId, code, reason });
    this.#callDisconnected(worker);
  }

  #callDisconnected(worker) {
    this.#handlers.disconnected(toWorkerInfo(worker), new Set(worker.pendingRequests));
  }
}

module.exports = { WorkerLifecycle };
