'use strict';

const native = require('../native/addon.js');
const { UNWATCHED } = require('./diagnostics.js');
const { toWorkerInfo } = require('./worker-info.js');

/** How a worker leaves whose id has come on another connection, and one whose own connection has registered again. */
const REPLACED = native.closingOfReplaced();
const REGISTERED_AGAIN = Object.freeze({ code: 1000, reason: 'Registered again on the same connection' });

/** What is logged, and what the application's handlers are called with, when a worker comes and when it goes. */
class WorkerLifecycle {
  #logger;
  #handlers;
  #runApart;
  #diagnostics;

  /**
   * @param {object} parts
   * @param {(handle: () => void) => void} [parts.runApart] runs what is an event of its own to the application, though
   *   it is part of another one
   * @param [parts.diagnostics] where it is published who leaves: see `Diagnostics`
   */
  constructor({ logger, handlers, runApart = (handle) => handle(), diagnostics = UNWATCHED }) {
    this.#logger = logger;
    this.#handlers = handlers;
    this.#runApart = runApart;
    this.#diagnostics = diagnostics;
  }

  /** A worker is in the pool. Its handlers are called by `Handlers.connected`. */
  registered({ workerId, workerName, models, maxConcurrentRequests }) {
    this.#logger.debug('Worker registered', { workerId, workerName, models, maxConcurrentRequests });
  }

  /**
   * Another session takes the place of a worker, which `leave` takes out of the pool. Handlers are called only if
   * requests were pending.
   *
   * @param staysOpen Whether the new session is on the same connection
   */
  displace(workerId, worker, leave, staysOpen = false) {
    this.#logger.debug('Replacing existing worker connection', { workerId });
    leave();
    this.#runApart(() => {
      this.#diagnose(worker, staysOpen ? REGISTERED_AGAIN : REPLACED);
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
    this.#diagnose(worker, { code, reason });
    this.#callDisconnected(worker);
  }

  #diagnose(worker, closing) {
    this.#diagnostics.disconnected(() => toWorkerInfo(worker), closing, worker.pendingRequests);
  }

  #callDisconnected(worker) {
    this.#handlers.disconnected(toWorkerInfo(worker), new Set(worker.pendingRequests));
  }
}

module.exports = { WorkerLifecycle };
