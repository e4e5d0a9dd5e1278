'use strict';

const { printable } = require('./printable.js');

const COLUMNS = [
  ['WORKER', ({ id }) => id],
  ['NAME', ({ name }) => name],
  ['ADDRESS', ({ address }) => address ?? '-'],
  ['STATUS', ({ status }) => status],
  ['ACTIVE', ({ active, slots }) => `${active}/${slots}`],
  ['HEARTBEAT', ({ heartbeatAgeMs }) => durationOf(heartbeatAgeMs)],
  ['MODELS', ({ models }) => (models ?? []).join(', ') || '-'],
];

/** The data of a status page as lines for a terminal. */
function statusTable({ state, version, uptimeMs, workers, queue }) {
  const rows = [COLUMNS.map(([title]) => title), ...workers.map(rowOf)];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  const summary = printable(`worker-server ${version}: ${state}, up ${durationOf(uptimeMs)}`);
  return [summary, queueLine(queue), '', ...(workers.length === 0 ? ['no workers'] : lines)].join('\n');
}

const rowOf = (worker) => COLUMNS.map(([, cell]) => printable(cell(worker)));

function queueLine({ size, oldestMs, byModel } = {}) {
  if (!size) return 'nothing waits';
  const models = Object.entries(byModel ?? {}).map(([model, count]) => `${model} ${count}`);
  return printable(`${size} waiting, the oldest for ${durationOf(oldestMs)}: ${models.join(', ')}`);
}

function durationOf(ms) {
  if (!Number.isFinite(ms)) return '-';
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return `${Math.floor(seconds / 3600)}h`;
}

module.exports = { statusTable };
