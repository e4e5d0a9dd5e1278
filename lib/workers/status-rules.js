'use strict';

const { Fill, StatusRule, statusRules } = require('../native/abi.js');
const { STATUSES } = require('./worker-info.js');

const [FIRST, SECOND, THIRD, FOURTH] = STATUSES;
const DRAINING = STATUSES.indexOf('draining');

const { Track: TRACK, Release: RELEASE, Heartbeat: HEARTBEAT } = StatusRule;
const { BelowMax: BELOW_MAX, AtMax: AT_MAX, Unknown: UNKNOWN } = Fill;
const FILLS = Object.keys(Fill).length;

/**
 * A status as the native side numbers it, which is its place in STATUSES. One that the caller made up counts as
 * draining: it gets nothing new. Comparing one by one is several times as fast as any lookup.
 */
function statusNumber(status) {
  if (status === FIRST) return 0;
  if (status === SECOND) return 1;
  if (status === THIRD) return 2;
  if (status === FOURTH) return 3;
  return DRAINING;
}

function fillOf(active, max) {
  if (active < max) return BELOW_MAX;
  return active >= max ? AT_MAX : UNKNOWN;
}

/** Sets `worker.status` to what `rule` makes of it, with the worker's present count of requests, if that is another. */
function applyStatusRule(rule, worker, max) {
  const status = statusNumber(worker.status);
  const fill = fillOf(Number(worker.activeRequests), max);
  const next = statusRules[(rule * STATUSES.length + status) * FILLS + fill];
  if (next !== status) worker.status = STATUSES[next];
}

module.exports = { HEARTBEAT, RELEASE, TRACK, applyStatusRule, statusNumber };
