'use strict';

// What clients are answered when something went wrong.

/** `Retry-After` where the server has no better guess. */
const DEFAULT_RETRY_AFTER_MS = 1_000;

/** By the code of a `WorkerRequestError`. */
const BY_CODE = {
  QUEUE_FULL: [429, 'rate_limit_error', 'queue_full'],
  NO_WORKER: [503, 'server_error', 'no_worker'],
  SERVER_STOPPING: [503, 'server_error', 'server_stopping'],
  TIMEOUT: [504, 'timeout_error', 'timeout'],
  QUEUE_TIMEOUT: [504, 'timeout_error', 'queue_timeout'],
  WORKER_LOST: [502, 'server_error', 'worker_lost'],
  WORKER_ERROR: [502, 'server_error', 'worker_error'],
  STREAM_OVERFLOW: [502, 'server_error', 'stream_overflow'],
  // Only where the application's hook chooses the ids.
  DUPLICATE_ID: [409, 'invalid_request_error', 'duplicate_id'],
};

/** An answer that isn't a success. */
class GatewayError extends Error {
  /**
   * @param {number} status
   * @param {string} type
   * @param {string | null} code
   * @param {{param?: string, retryAfterMs?: number, headers?: Record<string, string>}} [more]
   */
  constructor(status, type, code, message, { param = null, retryAfterMs, headers = {} } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = { error: { message, type, param, code } };
    this.headers = { ...headers, 'x-should-retry': String(this.#isWorthRetrying()) };
    if (status === 429 || status === 503) {
      this.headers['Retry-After'] = String(Math.max(1, Math.ceil((retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1_000)));
    }
  }

  /**
   * Whether the work can't have run, and another try may help: OpenAI's clients try again by themselves, unless a
   * header says no.
   */
  #isWorthRetrying() {
    return this.status === 429 || this.status === 503 || (this.status === 504 && this.code === 'queue_timeout');
  }
}

function invalidRequest(message, { code = null, param } = {}) {
  return new GatewayError(400, 'invalid_request_error', code, message, { param });
}

function internalError() {
  return new GatewayError(500, 'server_error', 'internal_error', 'Internal server error');
}

const isStatus = (value, from, to) => Number.isInteger(value) && value >= from && value <= to;

/** An error that the worker has worded itself, down to the status, as a bridge to another server does. */
function fromWorker({ data }) {
  const said = data?.data;
  if (!isStatus(said?.status, 400, 599) || said.body === undefined) return null;
  const error = new GatewayError(said.status, 'server_error', null, 'The worker reported an error');
  error.body = said.body;
  return error;
}

/** What to answer for what `request()` or `stream()` rejected with; null if that is no end that a request can have. */
function fromRequestError(error) {
  if (error?.name !== 'WorkerRequestError' || !Object.hasOwn(BY_CODE, error.code)) return null;
  if (error.code === 'WORKER_ERROR') {
    const worded = fromWorker(error);
    if (worded !== null) return worded;
  }
  const [status, type, code] = BY_CODE[error.code];
  return new GatewayError(status, type, code, error.message, { retryAfterMs: error.retryAfterMs });
}

/**
 * What to answer where the server refused what it was to send, before it looked for a worker; null for anything else.
 */
function fromPayloadError(error) {
  // Written as JSON once more it is deeper than the stack allows.
  if (error instanceof RangeError) return invalidRequest('The body is nested too deeply');
  if (error instanceof TypeError && error.message.startsWith('payload must be ')) {
    return new GatewayError(413, 'invalid_request_error', 'body_too_large', 'The body is too large for a worker');
  }
  return null;
}

/** What to answer for what the application threw to refuse a request; null if it has no status for it. */
function fromStatus(thrown) {
  const status = thrown?.status;
  if (!isStatus(status, 400, 499)) return null;
  const type = status === 429 ? 'rate_limit_error' : 'invalid_request_error';
  const text = (value) => (typeof value === 'string' && value !== '' ? value : null);
  const { param, retryAfterMs } = thrown;
  return new GatewayError(status, type, text(thrown.code), text(thrown.message) ?? 'The request was refused', {
    param: text(param),
    retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : undefined,
  });
}

/** What to answer where the application's own signal ended a request. */
function fromAbort(reason) {
  if (reason?.name === 'TimeoutError') {
    return new GatewayError(504, 'timeout_error', 'timeout', 'The request took too long');
  }
  return fromStatus(reason) ?? new GatewayError(500, 'server_error', 'aborted', 'The request was aborted');
}

module.exports = {
  GatewayError,
  fromAbort,
  fromPayloadError,
  fromRequestError,
  fromStatus,
  internalError,
  invalidRequest,
};
