'use strict';

// What the end of a connection means for a worker. Pure.

/** The close codes of which this folder knows what they mean; any other one is a loss like any loss. */
const CLOSE = Object.freeze({
  NORMAL: 1000,
  MESSAGE_TOO_BIG: 1009,
  AUTHENTICATION_FAILED: 4001,
  INVALID_REGISTRATION: 4002,
  REPLACED: 4003,
});

/** 4003 closes a silent worker as well, which then comes back. */
const REPLACED_REASON = 'Replaced by new connection';

/** Refusals of a registration by the start of the ack's `error`, for a server whose close frame got lost. */
const REFUSALS = [
  ['Invalid authentication token', CLOSE.AUTHENTICATION_FAILED, 'Authentication failed'],
  ['Invalid registration', CLOSE.INVALID_REGISTRATION, 'Invalid registration'],
];

/**
 * @param {number} code the close code; 1006 without a close frame
 * @param {string} reason the close reason
 * @param {string} [refusal] the `error` of an ack that said no
 * @returns {{ kind: 'let-go' | 'token-refused' | 'rejected' | 'lost', code: number, reason: string }} `let-go`: the
 *   server wants this worker no more; `rejected`: trying again can't help; `token-refused`: another token might;
 *   `lost`: try again
 */
function judgeClose(code, reason, refusal) {
  if (code === CLOSE.NORMAL) return { kind: 'let-go', code, reason };
  if (code === CLOSE.AUTHENTICATION_FAILED) return { kind: 'token-refused', code, reason };
  if (code === CLOSE.INVALID_REGISTRATION) return { kind: 'rejected', code, reason };
  if (code === CLOSE.REPLACED && reason === REPLACED_REASON) return { kind: 'rejected', code, reason };
  const known = code < 4000 && refusal !== undefined && REFUSALS.find(([start]) => refusal.startsWith(start));
  return known ? judgeClose(known[1], known[2]) : { kind: 'lost', code, reason };
}

module.exports = { CLOSE, judgeClose };
