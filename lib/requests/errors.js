'use strict';

/** What a request ends with when it has no result, but for a signal's own reason. See `index.d.ts` for the codes. */
class WorkerRequestError extends Error {
  /**
   * @param {{code: string, requestId: string, attempts: number, started: boolean, workerId?: string, data?: unknown,
   *   retryAfterMs?: number}} details What callers read. Members that are undefined are left out.
   */
  constructor(message, details) {
    super(message);
    for (const [name, value] of Object.entries(details)) {
      if (value !== undefined) Object.defineProperty(this, name, { value, enumerable: true });
    }
  }
}
Object.defineProperty(WorkerRequestError.prototype, 'name', {
  value: 'WorkerRequestError',
  configurable: true,
  writable: true,
});

/** What metrics call the end of a request with an error of each code. */
const OUTCOMES = Object.freeze({
  WORKER_ERROR: 'error',
  WORKER_LOST: 'lost',
  STREAM_OVERFLOW: 'overflow',
  DUPLICATE_ID: 'duplicate',
  SERVER_STOPPING: 'stopping',
});

/** The label `outcome` of `requests_total` for an error of this code. What has none is no caller's end. */
function outcomeOf(code) {
  return OUTCOMES[code] ?? code?.toLowerCase();
}

/** The reason of a request that its caller let go of without giving a reason: as `AbortController.abort()` has it. */
function abortError() {
  return new DOMException('This operation was aborted', 'AbortError');
}

module.exports = { WorkerRequestError, abortError, outcomeOf };
