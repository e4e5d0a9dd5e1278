'use strict';

// What is said between the server and workers that take requests: docs/PROTOCOL.md has every message.

/** Features that this server knows, in the order in which an ack names them. */
const REQUEST = 'request';
const RESUME = 'resume';

/** What a worker says about a request. */
const ANSWER_TYPES = new Set([
  'request_ack',
  'request_reject',
  'request_progress',
  'request_chunk',
  'request_result',
  'request_error',
]);

/**
 * The features that a registration and this server share, `request` first. None without `request`, whatever else it
 * names.
 *
 * @param {unknown} named The member `features` of the registration, whatever came.
 */
function sharedFeatures(named, offersResume) {
  if (!Array.isArray(named) || !named.includes(REQUEST)) return [];
  return offersResume && named.includes(RESUME) ? [REQUEST, RESUME] : [REQUEST];
}

/** What needs no escape in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** Ids of the length of a UUID and less are tested faster than they are written by V8. */
const MAX_TESTED = 64;

/** A string as JSON text. */
const quoted = (text) => (text.length <= MAX_TESTED && PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

/** The members between the id and the payload that were written last: most requests have the same ones. */
let known = { attempt: 0, timeoutMs: 0, model: undefined, category: undefined, isStream: false, text: '' };

function middleText(attempt, timeoutMs, model, category, isStream) {
  if (
    attempt === known.attempt &&
    timeoutMs === known.timeoutMs &&
    model === known.model &&
    category === known.category &&
    isStream === known.isStream
  ) {
    return known.text;
  }
  let text = `,"attempt":${attempt}`;
  if (timeoutMs !== Infinity) text += `,"timeoutMs":${timeoutMs}`;
  if (model !== undefined) text += `,"model":${JSON.stringify(model)}`;
  if (category !== undefined) text += `,"category":${JSON.stringify(category)}`;
  text += `,"stream":${isStream}`;
  known = { attempt, timeoutMs, model, category, isStream, text };
  return text;
}

/**
 * The text of a `request` message.
 *
 * @param {{idText: string, model?: string, options: {category?: string}, payloadText?: string, traceText?: string,
 *   isStream: boolean}} request Its parts; those that end on `Text` are JSON text.
 * @param {number} timeoutMs What is left, in ms; Infinity if there is no limit.
 */
function requestText(request, attempt, timeoutMs) {
  const { idText, model, options, isStream, payloadText, traceText } = request;
  // A worker that has no time at all left would still be asked to answer within a millisecond.
  const middle = middleText(attempt, Math.max(1, Math.ceil(timeoutMs)), model, options.category, isStream);
  const payload = payloadText === undefined ? '' : `,"payload":${payloadText}`;
  const trace = traceText === undefined ? '' : `,"trace":${traceText}`;
  return `{"type":"request","requestId":${idText}${middle}${payload}${trace}}`;
}

/** The text of a `request_cancel` message; one that is `unknown` has no attempt. */
function cancelText(idText, attempt, reason) {
  const attemptMember = attempt === undefined ? '' : `"attempt":${attempt},`;
  return `{"type":"request_cancel","requestId":${idText},${attemptMember}"reason":"${reason}"}`;
}

function settledText(idText, attempt) {
  return `{"type":"request_settled","requestId":${idText},"attempt":${attempt}}`;
}

/** The first member of an answer that is missing or mistyped, or `null`. */
function malformedMember(message) {
  if (typeof message.requestId !== 'string') return 'requestId';
  if (!Number.isInteger(message.attempt) || message.attempt < 1) return 'attempt';
  const { seq } = message;
  if (message.type === 'request_chunk' && !(Number.isInteger(seq) && seq >= 0)) return 'seq';
  return null;
}

/** What a worker's `error` says, whatever it is. */
function readError(error) {
  const message = typeof error?.message === 'string' ? error.message : 'Worker reported an error';
  return { message, retryable: error?.retryable === true };
}

module.exports = {
  ANSWER_TYPES,
  REQUEST,
  RESUME,
  cancelText,
  malformedMember,
  quoted,
  readError,
  requestText,
  settledText,
  sharedFeatures,
};
