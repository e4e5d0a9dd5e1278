'use strict';

// What has to be kept to be shown later: requests under way, how those before them ended, and the workers that were
// lost.

const { listen } = require('./channels.js');
const { History } = require('./history.js');
const clock = require('../time/clock.js');

const MAX_LOSSES = 100;

/** Close codes of workers that left as they should: normal, going away (RFC 6455, section 7.4.1). */
const PEACEFUL = new Set([1000, 1001]);

/** What a server says of its requests and workers as it happens. */
class Collector {
  history = new History();
  /** The workers that were lost, the last one last. */
  losses = [];
  /**
   * When each request under way began, by the context of its channel, which the server keeps up to date; the oldest
   * first.
   *
   * @type {Map<object, { startedAt: number, countedAttempts: number }>}
   */
  requests = new Map();
  /** Losses whose requests are yet to be counted. */
  #uncounted = [];
  /** How many requests ended since because their worker was lost, by its id. */
  #lost = new Map();

  constructor(server) {
    this.server = server;
    listen(this);
  }

  onRequest(context) {
    this.requests.set(context, { startedAt: clock.now(), countedAttempts: 0 });
  }

  onRequestEnd(context) {
    const request = this.requests.get(context);
    this.requests.delete(context);
    const { error, workerId } = context;
    if (error === undefined) {
      // It may have begun before anybody listened.
      if (request !== undefined) this.history.completed(clock.now() - request.startedAt);
      return;
    }
    // What its caller took back, or called wrongly, is nobody's failure.
    if (error?.name !== 'WorkerRequestError' && error?.name !== 'TimeoutError') return;
    this.history.failed();
    if (this.#uncounted.length > 0 && error.code === 'WORKER_LOST') {
      if (request === undefined || isCounted(request, context)) return;
      this.#lost.set(workerId, (this.#lost.get(workerId) ?? 0) + 1);
    }
  }

  onDisconnected({ worker, code, reason, pendingRequestIds }) {
    const { id, name } = worker;
    const at = new Date().toISOString();
    this.#uncounted.push({
      at,
      workerId: id,
      workerName: name,
      code,
      reason,
      requests: pendingRequestIds.size,
    });
    // Workers often leave together. Their requests are counted in one pass, when all of this turn have left.
    if (this.#uncounted.length === 1) queueMicrotask(() => this.#count());
  }

  /** Requests that went on with a worker that came back are on it again. */
  onConnected({ worker }) {
    if (worker.pendingRequestIds.size === 0) return;
    for (const [context, request] of this.requests) {
      if (context.workerId === worker.id && worker.pendingRequestIds.has(context.requestId))
        request.countedAttempts = 0;
    }
  }

  #count() {
    const losses = new Map();
    for (const loss of this.#uncounted) if (!losses.has(loss.workerId)) losses.set(loss.workerId, loss);
    for (const [workerId, count] of this.#lost) {
      const loss = losses.get(workerId);
      if (loss !== undefined) loss.requests += count;
    }
    for (const [context, request] of this.requests) {
      const loss = losses.get(context.workerId);
      if (loss === undefined || isCounted(request, context)) continue;
      request.countedAttempts = context.attempts;
      loss.requests += 1;
    }
    this.losses.push(...this.#uncounted.filter(({ code, requests }) => requests > 0 || !PEACEFUL.has(code)));
    this.losses.splice(0, this.losses.length - MAX_LOSSES);
    this.#uncounted = [];
    this.#lost.clear();
  }
}

/** Whether a request is on no worker, or stands in the loss of the one that it was on last. */
const isCounted = (request, { attempts }) => attempts <= request.countedAttempts;

module.exports = { Collector };
