'use strict';

// What a server publishes on the channels of `node:diagnostics_channel`: docs/OBSERVABILITY.md has every channel and
// member.

const { channel, tracingChannel } = require('node:diagnostics_channel');

const REQUEST = tracingChannel('worker-server:request');
const CONNECTED = channel('worker-server:worker.connected');
const DISCONNECTED = channel('worker-server:worker.disconnected');
const UPDATED = channel('worker-server:worker.updated');
const ERROR = channel('worker-server:error');

/** The channels of the process, as one server publishes on them. Nothing is made of what nobody subscribes to. */
class Diagnostics {
  #server;

  /** @param server The `WorkerServer`, which stands in every message. */
  constructor(server) {
    this.#server = server;
  }

  /** `getInfo` is asked for the worker only if somebody subscribes. */
  connected(getInfo) {
    if (CONNECTED.hasSubscribers) CONNECTED.publish({ server: this.#server, worker: getInfo() });
  }

  /**
   * @param {{code: number, reason: string}} closing
   * @param {Set<string>} pendingRequestIds Of the application's own. Subscribers get a copy.
   */
  disconnected(getInfo, { code, reason }, pendingRequestIds) {
    if (!DISCONNECTED.hasSubscribers) return;
    const message = { server: this.#server, worker: getInfo(), code, reason };
    DISCONNECTED.publish({ ...message, pendingRequestIds: new Set(pendingRequestIds) });
  }

  updated(getInfo, change) {
    if (UPDATED.hasSubscribers) UPDATED.publish({ server: this.#server, worker: getInfo(), change });
  }

  /**
   * Something that the application gave has thrown.
   *
   * @param where What it was, in the words of the log line: `'message handler'`, say.
   * @param {object} [worker] The `WorkerInfo` that it was called with, or about.
   */
  threw(error, where, worker) {
    publishError(this.#server, error, where, worker);
  }

  /**
   * Calls `begin`, which has `request.promise` settled in the end, and follows the request for subscribers.
   *
   * @param {Request} request See `lib/requests/request.js`
   */
  trace(request, begin) {
    if (!REQUEST.hasSubscribers) {
      begin(request);
      return;
    }
    const { requestId, model, options, isStream } = request;
    request.traceContext = {
      server: this.#server,
      // One that was refused for its options has none.
      requestId: requestId === '' ? undefined : requestId,
      model,
      category: options.category,
      stream: isStream,
      attempts: 0,
      workerId: undefined,
    };
    request.promise = REQUEST.tracePromise(() => {
      begin(request);
      return request.promise;
    }, request.traceContext);
  }
}

/** Says what an addition's callback has thrown: see `Diagnostics.threw`. */
function publishError(server, error, where, worker) {
  if (!ERROR.hasSubscribers) return;
  ERROR.publish(worker === undefined ? { server, error, where } : { server, error, where, worker });
}

/** For handlers that belong to no server. */
const UNWATCHED = Object.freeze({ connected() {}, disconnected() {}, updated() {}, threw() {} });

module.exports = { Diagnostics, UNWATCHED, publishError };
