'use strict';

// What has changed from one state of `status.js` to the next.

/** The heartbeat of two states is the same one if its age has grown by the time between them, but for rounding. */
const SAME_MOMENT_MS = 2;

/**
 * The members of `next` that `previous` did not have, for one that has `previous`. Of lists: the entries that are new,
 * and the changed members of the others with their key; under `gone` the keys of those that are no more.
 *
 * @param previous As `Status.read` returns it, at the time `previousAt` in ms.
 * @returns {object} Empty: nothing has changed.
 */
function differences(previous, next, previousAt, nextAt) {
  const changed = {};
  if (next.state !== previous.state) changed.state = next.state;
  const queue = memberDifferences(previous.queue, next.queue);
  if (queue !== null) changed.queue = queue;
  const elapsedMs = nextAt - previousAt;
  Object.assign(changed, listDifferences('workers', 'id', previous, next, elapsedMs));
  Object.assign(changed, listDifferences('requests', 'requestId', previous, next, elapsedMs));
  const history = newEntries(
    previous.history,
    next.history,
    ({ at, completed, failed }) => `${at} ${completed} ${failed}`,
  );
  if (history.length > 0) changed.history = history;
  const known = new Set(previous.losses);
  const losses = next.losses.filter((loss) => !known.has(loss));
  if (losses.length > 0) changed.losses = losses;
  if (!isSame(previous.nodes, next.nodes)) changed.nodes = next.nodes;
  return changed;
}

function listDifferences(list, key, previous, next, elapsedMs) {
  const before = new Map(previous[list].map((row) => [row[key], row]));
  const rows = [];
  for (const row of next[list]) {
    const known = before.get(row[key]);
    before.delete(row[key]);
    if (known === undefined) {
      rows.push(row);
      continue;
    }
    const members = memberDifferences(known, row, elapsedMs);
    if (members !== null) rows.push({ [key]: row[key], ...members });
  }
  const found = {};
  if (rows.length > 0) found[list] = rows;
  if (before.size > 0) found.gone = { [list]: [...before.keys()] };
  return found;
}

/** The members that differ, or null. Ages that grew with time alone are left out: the page counts them on. */
function memberDifferences(previous, next, elapsedMs = 0) {
  let members = null;
  for (const name of Object.keys(next)) {
    if (isAsBefore(name, previous[name], next[name], elapsedMs)) continue;
    members ??= {};
    members[name] = next[name];
  }
  return members;
}

function isAsBefore(name, previous, next, elapsedMs) {
  switch (name) {
    case 'ageMs':
      return true;
    case 'heartbeatAgeMs':
      return Math.abs(next - previous - elapsedMs) <= SAME_MOMENT_MS;
    default:
      return isSame(previous, next);
  }
}

function newEntries(previous, next, keyOf) {
  const known = new Set(previous.map(keyOf));
  return next.filter((entry) => !known.has(keyOf(entry)));
}

function isSame(a, b) {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object') return false;
  return JSON.stringify(a) === JSON.stringify(b);
}

module.exports = { differences };
