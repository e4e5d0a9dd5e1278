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

/** The reason of a request that its caller let go of without giving a reason: as `AbortController.abort()` has it. */
function abortError() {
  return new DOMException('This operation was aborted', 'AbortError');
}

module.exports = { WorkerRequestError, abortError };
