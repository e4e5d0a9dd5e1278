'use strict';

// What becomes of a request that asks for a slot, as the native side numbers it.

module.exports = Object.freeze({
  /** It has one. */
  TAKEN: 0,
  /** It waits. */
  WAITS: 1,
  /** A slot has become free that belongs to somebody who waits, and is to be given away first. */
  OWED: 2,
  /** No registered worker could ever take it, and it is not to wait for one. */
  NO_WORKER: 3,
  /** As much waits as may wait. */
  FULL: 4,
  /** It would have to wait, and may not. */
  NEVER_WAITS: 5,
  /** The number of its demand counts no longer. */
  FORGOTTEN: 6,
});
