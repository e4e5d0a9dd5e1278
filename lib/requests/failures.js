'use strict';

const { WorkerRequestError } = require('./errors.js');

/** The errors that requests end with, and what they say of the workers that there are. */
class Failures {
  #slots;
  #fleet = null;

  /** @param slots The native queue of requests: see `RequestSlots` in `lib/server/request-slots.js`. */
  constructor(slots) {
    this.#slots = slots;
  }

  /** From now on the workers of all nodes count. */
  joinFleet(fleet) {
    this.#fleet = fleet;
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
    if (!this.#hasWorkerFor(request)) return this.noWorker(request);
    const explanation = this.#explain(request);
    const message = `No slot was free within ${request.options.queueTimeoutMs} ms: ${explanation}`;
    return this.error(request, 'QUEUE_TIMEOUT', message);
  }

  fullQueue(request) {
    return this.error(request, 'QUEUE_FULL', `The queue is full: ${this.#explain(request)}`);
  }

  noWorker(request) {
    return this.error(request, 'NO_WORKER', `No worker could take the request: ${this.#explain(request)}`);
  }

  #hasWorkerFor(request) {
    return this.#slots.hasWorkerFor(request) || this.#fleet?.couldMeet(request) === true;
  }

  #explain(request) {
    return (this.#fleet ?? this.#slots).explainRequest(request);
  }
}

module.exports = { Failures };
