'use strict';

const { wrongType } = require('../workers/handlers.js');
const { requestText } = require('./wire.js');

/**
 * What a frame adds to a text at most, and the members of a request beside its payload: beyond, the frame is measured.
 */
const MAX_FRAME_EXTRA = 4_096;
/** What UTF-8 takes at most for a UTF-16 unit, in bytes. */
const MAX_UNIT_BYTES = 3;
/** The header of a frame that is longer than 64 KiB, and of one that is shorter. */
const [LONG_HEADER_BYTES, SHORT_HEADER_BYTES] = [10, 4];

/**
 * Completes a new request with what follows from its options and its payload.
 *
 * @throws {TypeError} if its frame would never fit into a worker's outbox, of `maxQueuedBytes`
 */
function prepare(request, maxQueuedBytes) {
  const { payloadText, options, traceText = '' } = request;
  request.payloadBytes = payloadText === undefined ? 0 : Buffer.byteLength(payloadText);
  const { model = '' } = request;
  const { category = '' } = options;
  const units = model.length + category.length + traceText.length;
  const most = request.payloadBytes + MAX_FRAME_EXTRA + MAX_UNIT_BYTES * units;
  if (most <= maxQueuedBytes) return;
  const length = Buffer.byteLength(requestText(request, 1, options.timeoutMs));
  const frameBytes = length + (length > 0xffff ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES);
  if (frameBytes > maxQueuedBytes) {
    const expected = `something whose frame has at most ${maxQueuedBytes} bytes (limits.maxQueuedBytes)`;
    throw wrongType('payload', expected, frameBytes);
  }
}

module.exports = { prepare };
