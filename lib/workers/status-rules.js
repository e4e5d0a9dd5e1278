'use strict';

const native = require('../native/addon.js');
const { STATUSES } = require('./worker-info.js');

/** Counts of active requests for which answers are remembered. */
const REMEMBERED_COUNTS = 256;

/** Values of `maxConcurrentRequests` for which answers are remembered. Beyond, all are forgotten and found again. */
const REMEMBERED_MAXIMA = 256;

const [FIRST, SECOND, THIRD, FOURTH] = STATUSES;
const DRAINING = STATUSES.indexOf('draining');

/**
 * A status as the native side numbers it, which is its place in STATUSES. One that the caller made up counts as draining:
 * it gets nothing new. Comparing one by one is several times as fast as any lookup.
 */
function statusNumber(status) {
  if (status === FIRST) return 0;
  if (status === SECOND) return 1;
  if (status === THIRD) return 2;
  if (status === FOURTH) return 3;
  return DRAINING;
}

/**
 * One native rule for a worker's next status, for one maximum. Its answers are remembered, since a look into an array
 * takes a tenth of the time of a native call.
 */
class StatusRule {
  #rule;
  #max;
  #known = STATUSES.map(() => []);

  constructor(rule, max) {
    this.#rule = rule;
    this.#max = max;
  }

  /** Sets `worker.status` to what it is to be with the worker's present count of requests, if that is another. */
  apply(worker) {
    const number = statusNumber(worker.status);
    const active = Number(worker.activeRequests);
    const known = this.#known[number];
    let next = known[active];
    if (next === undefined) {
      next = this.#rule(number, active, this.#max);
      if (Number.isInteger(active) && active >= 0 && active < REMEMBERED_COUNTS) known[active] = next;
    }
    if (next !== number) worker.status = STATUSES[next];
  }
}

const statusRules = new Map();

/** What tracking, releasing and heartbeats do to the status of a worker with that maximum. */
function statusRulesFor(max) {
  let found = statusRules.get(max);
  if (found === undefined) {
    if (statusRules.size >= REMEMBERED_MAXIMA) statusRules.clear();
    found = {
      track: new StatusRule(native.statusAfterTrack, max),
      release: new StatusRule(native.statusAfterRelease, max),
      heartbeat: new StatusRule(native.statusAfterHeartbeat, max),
    };
    statusRules.set(max, found);
  }
  return found;
}

module.exports = { statusNumber, statusRulesFor };
