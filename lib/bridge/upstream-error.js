'use strict';

/**
 * What a request fails with: a `request_error` whose `data` is the HTTP answer that the client is to get.
 *
 * The words are for the client of the gateway, so they say nothing of where the upstream is.
 */
class UpstreamError extends Error {
  /**
   * @param {string} code
   * @param {number} status
   * @param {string} message
   * @param {{ body?: unknown, retryable?: boolean, cause?: Error }} more `body`: what the upstream itself said; the
   *   cause is for the bridge's own lines
   */
  constructor(code, status, message, { body, retryable = false, cause } = {}) {
    super(message, { cause });
    this.name = 'UpstreamError';
    this.code = code;
    this.retryable = retryable;
    const type = status < 500 ? 'invalid_request_error' : 'server_error';
    this.data = { status, body: body === undefined ? { error: { message, type, param: null, code } } : body };
  }
}

/** The connection was never there, so nothing can have run. */
const refused = (cause) =>
  new UpstreamError('upstream_refused', 502, 'The upstream refuses connections', { retryable: true, cause });
const brokeOff = () => new UpstreamError('upstream_broke_off', 502, 'The upstream broke off its answer');
const badAnswer = (what) => new UpstreamError('upstream_bad_answer', 502, `The upstream answered with ${what}`);

module.exports = { UpstreamError, badAnswer, brokeOff, refused };
