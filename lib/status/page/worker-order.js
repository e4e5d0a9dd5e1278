'use strict';

// Which workers are shown, and in which order.

const { STATUSES } = require('./statuses.js');

const { compare } = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

const load = ({ active, slots }) => (slots === 0 ? 1 : active / slots);

/** By column: what two workers are compared by. */
const COMPARISONS = {
  name: (a, b) => compare(a.name, b.name),
  status: (a, b) => STATUSES.indexOf(b.status) - STATUSES.indexOf(a.status),
  load: (a, b) => load(a) - load(b) || a.active - b.active,
  models: (a, b) => compare(a.models[0] ?? '', b.models[0] ?? ''),
  heartbeat: (a, b) => b.heartbeatAt - a.heartbeatAt,
  address: (a, b) => compare(a.address ?? '', b.address ?? ''),
  connected: (a, b) => b.connectedTime - a.connectedTime,
};

/**
 * @param {Iterable<object>} workers
 * @param {object} wanted
 * @param {string} wanted.text All of its words are in what a filter looks at.
 * @param {string | null} wanted.status Null: any.
 * @param {string} wanted.column
 * @param {boolean} wanted.isDescending
 */
function orderWorkers(workers, { text, status, column, isDescending }) {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const shown = [];
  for (const worker of workers) {
    if (status !== null && worker.status !== status) continue;
    if (words.every((word) => worker.searched.includes(word))) shown.push(worker);
  }
  const comparison = COMPARISONS[column];
  const sign = isDescending ? -1 : 1;
  // Those that are the same keep an order of their own, whichever way the others go.
  return shown.sort((a, b) => sign * comparison(a, b) || compare(a.name, b.name) || compare(a.id, b.id));
}

module.exports = { COLUMNS: Object.keys(COMPARISONS), orderWorkers };
