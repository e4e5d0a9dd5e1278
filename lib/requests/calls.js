'use strict';

const { outcomeOf } = require('./errors.js');
const { readRequestOptions } = require('./options.js');
const { Request } = require('./request.js');
const { reasonOf } = require('./signals.js');

/** The request of a call. What was wrong with that has ended it already. */
function requestOf(payload, options, isStream, { defaults, maxStreamBytes }) {
  let read;
  try {
    read = readRequestOptions(options, defaults);
    return new Request(read, JSON.stringify(payload), isStream, maxStreamBytes);
  } catch (error) {
    return Request.refused(error, isStream, read?.requestId);
  }
}

/** Makes a request of each call of `request()` and `stream()`, and judges whether it may begin. */
class Calls {
  #dispatcher;
  #host;
  #settings;

  /** @param settings `defaults`, which `readRequestOptions` takes, and the limit `maxStreamBytes` */
  constructor(dispatcher, host, settings) {
    this.#dispatcher = dispatcher;
    this.#host = host;
    this.#settings = settings;
  }

  /** Returns a request that is under way, or has ended already. */
  begin(payload, options, isStream) {
    const request = requestOf(payload, options, isStream, this.#settings);
    this.#host.diagnostics.trace(request, this.#judge);
    return request;
  }

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

module.exports = { Calls, requestOf };
