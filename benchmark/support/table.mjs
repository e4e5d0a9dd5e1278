// Results as a table: for the terminal, and in Markdown for the documents.

import { FIGURES } from './measure.mjs';

const HEAD = ['work', 'figure', 'this package', 'peer', 'ratio', 'goal'];

/** A number with as many digits as mean something. */
export function number(value, digits) {
  if (value === 0) return '0';
  if (value >= 1e6) return `${(value / 1e6).toPrecision(digits)}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(digits))}k`;
  return String(Number(value.toPrecision(digits)));
}

/** A figure with its unit, the next larger one where that is easier to read. */
export function amount(value, { digits, unit = '' }) {
  return unit === 'µs' && value >= 1e4
    ? `${number(value / 1e3, digits)} ms`
    : `${number(value, digits)} ${unit}`.trim();
}

function spread({ median, min, max }, kind) {
  const range = min === max ? '' : ` (${amount(min, kind)} – ${amount(max, kind)})`;
  return amount(median, kind) + range;
}

function goalText({ atLeast, atMost, absolute }, kind) {
  const parts = [];
  if (atLeast !== undefined) parts.push(`≥ ${atLeast}×`);
  if (atMost !== undefined) parts.push(`≤ ${atMost}×`);
  if (absolute !== undefined) parts.push(absolute === 0 ? '0' : `≤ ${amount(absolute, kind)}`);
  return parts.join(', ');
}

function lines(results) {
  return results.flatMap(({ title, unit, figures }) =>
    figures
      .filter(({ name }) => !FIGURES[name].hidden)
      .map(({ name, ours, peer, ratio, goal, met }, index) => {
        const kind = FIGURES[name];
        const label = name === 'rate' ? `${unit}/s` : kind.title;
        const goals = goal === undefined ? '' : `${goalText(goal, kind)} ${met ? '✓' : '✗'}`;
        const times = ratio === undefined ? '' : `${ratio.toFixed(2)}×`;
        return [index === 0 ? title : '', label, spread(ours, kind), spread(peer, kind), times, goals];
      }),
  );
}

/** Rows of a group have the same figures: a line each, of ratios. */
function groupRows(results) {
  const [{ figures: first }] = results;
  const shown = first.filter(({ name }) => !FIGURES[name].hidden);
  const titles = shown.map(({ name, goal }) => {
    const title = name === 'rate' ? 'rate' : FIGURES[name].title;
    return goal === undefined ? title : `${title} (${goalText(goal, FIGURES[name])})`;
  });
  const cells = ({ figures }) =>
    shown.map((column) => {
      const { name, ours, peer, ratio, met } = figures.find((figure) => figure.name === column.name);
      if (name === 'throttled') return `${number(ours.median, 3)} : ${number(peer.median, 3)}`;
      const mark = met === false ? ' ✗' : '';
      return ratio === undefined ? '' : ratio.toFixed(2) + mark;
    });
  return [['ratios to the peer', ...titles], ...results.map((result) => [result.title, ...cells(result)])];
}

/** The names of the groups that there are, `undefined` for rows that are in none. */
const groupsOf = (results) => [...new Set(results.map(({ group }) => group))];

/** For a terminal. */
export function plainTables(results) {
  return groupsOf(results)
    .map((name) => plainTable(results, name))
    .join('\n\n');
}

function tableRows(results, group) {
  const those = results.filter((result) => result.group === group);
  return group === undefined ? [HEAD, ...lines(those)] : groupRows(those);
}

function plainTable(results, group) {
  const rows = tableRows(results, group);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** For the documents: the rows of a group, or those that are in none. */
export function markdownTable(results, group) {
  const [head, ...rows] = tableRows(results, group);
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
