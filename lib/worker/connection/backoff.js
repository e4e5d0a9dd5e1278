'use strict';

// How long to wait before the next try. Pure: time and randomness are arguments.

/** Beyond this many doublings the delay stays what it is, so that 0 × 2^n is never 0 × Infinity. */
const MAX_DOUBLINGS = 1000;

/**
 * The delay before a try, in ms: full jitter, that is anything from 0 to a ceiling that doubles with each failure in a
 * row, so that a fleet which lost its server doesn't come back all at once.
 *
 * @param {number} failures how many tries have failed in a row, from 1
 */
function backoffDelayMs(failures, { initialDelayMs, maxDelayMs }, random = Math.random) {
  const ceiling = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  return ceiling === Infinity ? Infinity : Math.floor(random() * ceiling);
}

/**
 * What a `Retry-After` header asks for, in ms: a number of seconds or an HTTP date. Undefined if it is missing or makes
 * no sense.
 *
 * @param {number} now the wall clock, in ms since the epoch
 */
function retryAfterMs(header, now = Date.now()) {
  if (typeof header !== 'string') return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

module.exports = { backoffDelayMs, retryAfterMs };
