'use strict';

const { now } = require('../time/clock.js');
const { HELD, RUNNING } = require('./request.js');
const { malformedMember, readError, settledText } = require('./wire.js');

/**
 * Handles what a worker says about a request. Only what belongs to the attempt that is under way on that very session
 * counts: a worker that was given up may still talk, and the request may run elsewhere by now.
 */
class Answers {
  #dispatcher;
  #host;

  constructor(dispatcher, host) {
    this.#dispatcher = dispatcher;
    this.#host = host;
  }

  /**
   * @param record The worker's
   * @param message A message of one of the types in `ANSWER_TYPES`
   * @param source What it came in, which has its `text` and that text's `byteLength`
   */
  handle(record, message, source) {
    const { type } = message;
    const field = malformedMember(message);
    if (field !== null) {
      this.#host.limitedLogger.warn('Malformed answer from worker', { workerId: record.id, type, field });
      return;
    }
    const { requestId, attempt } = message;
    const isEnd = type === 'request_result' || type === 'request_error';
    // Stale or not, the worker need not keep it any longer.
    if (isEnd && record.canResume) this.#host.send(record, settledText(JSON.stringify(requestId), attempt));
    const request = this.#dispatcher.get(requestId);
    const belongs = request !== undefined && request.record === record && request.attempt === attempt;
    if (belongs && request.state === RUNNING) {
      if (request.isHosted) request.hears(source, false);
      this.#handleRunning(request, message, source);
      if (request.isHosted) request.hears(null, false);
    } else if (belongs && request.state === HELD) {
      this.#handleHeld(request, type);
    } else {
      this.#host.metrics.staleAnswer();
      this.#host.limitedLogger.debug('Stale answer from worker', { workerId: record.id, requestId, type });
    }
  }

  /**
   * Takes a chunk if nothing stands against it: the next one of a stream that is under way. False if `handle` has to
   * judge it, and where its origin gets the whole message.
   *
   * @param chunk Its `requestId`, `attempt` and `seq`, its data as `message`, and the `byteLength` of its text
   */
  takeNextChunk(record, chunk) {
    const request = this.#dispatcher.get(chunk.requestId);
    if (
      request?.record !== record ||
      request.attempt !== chunk.attempt ||
      request.state !== RUNNING ||
      !request.isStream ||
      request.isHosted ||
      request.nextSeq !== chunk.seq
    ) {
      return false;
    }
    request.noteAnswer();
    acknowledge(request);
    request.nextSeq += 1;
    this.takeChunk(request, chunk.message, chunk);
    return true;
  }

  /** The caller has had its end. All that counts is whether the worker is done. */
  #handleHeld(request, type) {
    if (type === 'request_result' || type === 'request_error' || type === 'request_reject') {
      this.#dispatcher.confirm(request);
    } else {
      acknowledge(request);
    }
  }

  #handleRunning(request, message, source) {
    const dispatcher = this.#dispatcher;
    request.noteAnswer();
    if (message.type === 'request_reject') {
      // Who has sent chunks has begun, and its reader has them: from the start again they would come twice.
      if (request.hasChunks) this.endWithError(request, 'The worker rejected what it had begun', false);
      else dispatcher.onRejected(request);
      return;
    }
    acknowledge(request);
    switch (message.type) {
      case 'request_progress':
        dispatcher.call(request, 'onProgress', message.data);
        break;
      case 'request_chunk':
        if (request.isStream) this.#handleChunk(request, message, source);
        break;
      case 'request_result':
        dispatcher.complete(request, message.data);
        break;
      case 'request_error':
        this.onError(request, message.error);
        break;
    }
  }

  #handleChunk(request, { seq, data }, source) {
    if (seq < request.nextSeq) return;
    if (seq > request.nextSeq) {
      const message = `The worker skipped chunk ${request.nextSeq}`;
      // What came before is whole, and stays to be read.
      this.#dispatcher.cancel(request, this.#dispatcher.error(request, 'WORKER_ERROR', message), 'aborted', false);
      return;
    }
    request.nextSeq += 1;
    this.takeChunk(request, data, source);
  }

  /** A chunk goes to the caller, or is one too many for it. */
  takeChunk(request, data, source) {
    if (!request.hasChunks && !request.isHosted) this.#host.metrics.firstChunk(request.model, now() - request.beganAt);
    request.hasChunks = true;
    if (request.buffer.push(data, request.buffer.isAwaited ? 0 : source.byteLength)) return;
    this.#host.metrics.limitHit('maxStreamBytes');
    const message = 'More chunks wait to be read than limits.maxStreamBytes allows';
    this.#dispatcher.cancel(request, this.#dispatcher.error(request, 'STREAM_OVERFLOW', message), 'aborted');
  }

  /** `error` is what the worker said, whatever that is. */
  onError(request, error) {
    const { message, retryable } = readError(error);
    this.endWithError(request, message, retryable, error);
  }

  endWithError(request, message, isRetryable, data) {
    const dispatcher = this.#dispatcher;
    const error = dispatcher.error(request, 'WORKER_ERROR', message, data);
    dispatcher.release(request);
    if (isRetryable) dispatcher.retry(request, error);
    else dispatcher.fail(request, error);
    dispatcher.dispatch();
  }
}

function acknowledge(request) {
  request.isAcknowledged = true;
}

module.exports = { Answers };
