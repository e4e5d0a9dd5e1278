'use strict';

const { GatewayError, invalidRequest } = require('./errors.js');

/** What the bodies that are being read may hold together. */
const MAX_TOTAL_BYTES = 256 * 1024 * 1024;

const isJson = (contentType) => /^application\/json[ \t]*(?:;|$)/i.test(contentType ?? '');

function tooLarge(maxBytes) {
  const message = `The body must have at most ${maxBytes} bytes`;
  return new GatewayError(413, 'invalid_request_error', 'body_too_large', message);
}

/** Reads bodies as JSON, each and all of them within their bounds. */
class BodyReader {
  #maxBytes;
  /** What has been received of bodies that aren't complete. */
  #heldBytes = 0;

  constructor(maxBytes) {
    this.#maxBytes = maxBytes;
  }

  /**
   * @param {AbortSignal} signal Aborts when the client is gone.
   * @returns {Promise<Record<string, unknown> & {model: string}>}
   * @throws {GatewayError} that says what is wrong with it
   */
  async read(req, signal) {
    if (!isJson(req.headers['content-type'])) throw invalidRequest('The Content-Type must be application/json');
    return parse(await this.#receive(req, signal));
  }

  #receive(req, signal) {
    return new Promise((resolve, reject) => {
      if (req.readableEnded) throw new Error('The body was read by another handler');
      signal.throwIfAborted();
      // Node itself drains a body of which nothing was read, so that the client can read the answer.
      if (Number(req.headers['content-length']) > this.#maxBytes) throw tooLarge(this.#maxBytes);

      const chunks = [];
      let bytes = 0;
      const settle = (how, value) => {
        this.#heldBytes -= bytes;
        req.off('data', onData).off('end', onEnd).off('error', onBroken);
        signal.removeEventListener('abort', onGone);
        // What is still to come of a body that was refused is dropped, for the same reason.
        req.on('error', () => {}).resume();
        how(value);
      };
      const onData = (chunk) => {
        bytes += chunk.length;
        this.#heldBytes += chunk.length;
        if (bytes > this.#maxBytes) settle(reject, tooLarge(this.#maxBytes));
        else if (this.#heldBytes > MAX_TOTAL_BYTES) settle(reject, overloaded());
        else chunks.push(chunk);
      };
      const onEnd = () => settle(resolve, Buffer.concat(chunks, bytes));
      const onBroken = () => settle(reject, invalidRequest('The body broke off'));
      const onGone = () => settle(reject, signal.reason);
      req.on('data', onData).on('end', onEnd).on('error', onBroken);
      signal.addEventListener('abort', onGone);
    });
  }
}

function overloaded() {
  return new GatewayError(503, 'server_error', 'overloaded', 'Too many bodies are being received');
}

function parse(bytes) {
  let body;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalidRequest('The body must be JSON');
  }
  if (typeof body?.model !== 'string' || body.model === '') {
    throw invalidRequest('The body must name a model', { code: 'missing_model', param: 'model' });
  }
  return body;
}

module.exports = { BodyReader };
