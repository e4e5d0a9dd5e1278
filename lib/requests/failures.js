'use strict';

const { WorkerRequestError } = require('./errors.js');

/** The errors that requests end with, and what they say of the workers that there are. */
class Failures {
  #slots;

  /** @param slots The native queue of requests: see `RequestSlots` in `lib/server/request-slots.js`. */
  constructor(slots) {
    this.#slots = slots;
  }

  /** @returns {WorkerRequestError} */
  error(request, code, message, data) {
    const isAGuess = code === 'QUEUE_FULL' || code === 'NO_WORKER';
    return new WorkerRequestError(message, {
      code,
      requestId: request.requestId,
      attempts: request.attempts,
      workerId: request.lastRecord?.id,
      started: request.attempts > 0,
      data,
      retryAfterMs: isAGuess ? this.#slots.retryAfterMs() : undefined,
    });
  }

  /** The time for waiting is up. */
  withoutSlot(request) {
    if (!this.#slots.hasWorkerFor(request)) return this.noWorker(request);
    const explanation = this.#slots.explainRequest(request);
    const message = `No slot was free within ${request.options.queueTimeoutMs} ms: ${explanation}`;
    return this.error(request, 'QUEUE_TIMEOUT', message);
  }

  fullQueue(request) {
    return this.error(request, 'QUEUE_FULL', `The queue is full: ${this.#slots.explainRequest(request)}`);
  }

  noWorker(request) {
    return this.error(request, 'NO_WORKER', `No worker could take the request: ${this.#slots.explainRequest(request)}`);
  }
}

module.exports = { Failures };
