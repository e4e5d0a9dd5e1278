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

/**
 * The text of a `request` message.
 *
 * @param {{idText: string, model?: string, options: {category?: string}, payloadText?: string, traceText?: string,
 *   isStream: boolean}} request Its parts; those that end on `Text` are JSON text.
 * @param {number} timeoutMs What is left, in ms; Infinity if there is no limit.
 */
function requestText(request, attempt, timeoutMs) {
  let text = `{"type":"request","requestId":${request.idText},"attempt":${attempt}`;
  // A worker that has no time at all left would still be asked to answer within a millisecond.
  if (timeoutMs !== Infinity) text += `,"timeoutMs":${Math.max(1, Math.ceil(timeoutMs))}`;
  const { model, options } = request;
  if (model !== undefined) text += `,"model":${JSON.stringify(model)}`;
  if (options.category !== undefined) text += `,"category":${JSON.stringify(options.category)}`;
  text += `,"stream":${request.isStream}`;
  if (request.payloadText !== undefined) text += `,"payload":${request.payloadText}`;
  if (request.traceText !== undefined) text += `,"trace":${request.traceText}`;
  return `${text}}`;
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
  readError,
  requestText,
  settledText,
  sharedFeatures,
};
