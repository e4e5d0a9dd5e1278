'use strict';

const { outcomeOf } = require('./errors.js');
const { readRequestOptions } = require('./options.js');
const { Request } = require('./request.js');
const { reasonOf } = require('./signals.js');

/** Makes a request of each call of `request()` and `stream()`, and judges whether it may begin. */
class Calls {
  #dispatcher;
  #host;
  #defaults;
  #maxStreamBytes;

  /** @param options `defaults`, which `readRequestOptions` takes, and the limit `maxStreamBytes` */
  constructor(dispatcher, host, { defaults, maxStreamBytes }) {
    this.#dispatcher = dispatcher;
    this.#host = host;
    this.#defaults = defaults;
    this.#maxStreamBytes = maxStreamBytes;
  }

  /** Returns a request that is under way, or has ended already. */
  begin(payload, options, isStream) {
    let read;
    let request;
    try {
      read = readRequestOptions(options, this.#defaults);
      request = new Request(read, JSON.stringify(payload), isStream, this.#maxStreamBytes);
    } catch (error) {
      request = Request.refused(error, isStream, read?.requestId);
    }
    this.#host.diagnostics.trace(request, this.#judge);
    return request;
  }

  /** What was wrong with it at first sight has ended it already. */
  #judge = (request) => {
    if (request.isSettled) return;
    const { signal, requestId } = request;
    let isAborted;
    try {
      this.#host.prepare(request);
      isAborted = signal?.aborted;
    } catch (error) {
      request.reject(error);
      return;
    }
    if (!this.#host.isRunning) this.#refuse(request, 'SERVER_STOPPING', 'The server is not running');
    else if (isAborted) this.#rejectAtOnce(request, reasonOf(signal), 'cancelled');
    else if (this.#dispatcher.has(requestId) || this.#host.isTracked(requestId)) {
      this.#refuse(request, 'DUPLICATE_ID', `A request with the id ${request.idText} is under way`);
    } else this.#dispatcher.enter(request);
  };

  #refuse(request, code, message) {
    this.#rejectAtOnce(request, this.#dispatcher.error(request, code, message), outcomeOf(code));
  }

  #rejectAtOnce(request, error, outcome) {
    this.#host.metrics.ended(request.model, outcome, NaN);
    request.reject(error);
  }
}

module.exports = { Calls };
