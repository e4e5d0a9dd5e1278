// Puts the results of a run into docs/: the machine, the table and those of groups of rows between their markers, the
// figures as JSON, and the charts. Rows that the run left out keep the figures of the run before.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { charts } from './charts.mjs';
import { root } from './processes.mjs';
import { markdownTable } from './table.mjs';

const PAGE = path.join(root, 'docs', 'PERFORMANCE.md');
const FOLDER = path.join(root, 'docs', 'performance');

function replaceBetween(text, name, content) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has no ${start} … ${end}`);
  return `${text.slice(0, from + start.length)}\n${content}\n${text.slice(to)}`;
}

/** One sentence on where and when. */
export function machineText({ date, machine, runs }) {
  const { cpu, cores, memoryGb, system, node, loadAverage } = machine;
  const shown = runs === 1 ? 'one run' : `the median of ${runs} runs, with minimum and maximum`;
  const where = `${cpu}, ${cores} cores, ${memoryGb} GB; ${system}; Node ${node}`;
  return `${where}; ${date}; ${shown}. Load average before it began: ${loadAverage}.`;
}

const dated = ({ date, runs, results }) => results.map((result) => ({ date, runs, ...result }));

/** The report with the rows of an `earlier` one that it lacks, all in the `order` of their names. */
export function withEarlierRows(report, earlier, order) {
  const rows = new Map([...dated(earlier), ...dated(report)].map((result) => [result.name, result]));
  const places = new Map(order.map((name, place) => [name, place]));
  const results = [...rows.values()].filter(({ name }) => places.has(name));
  results.sort((a, b) => places.get(a.name) - places.get(b.name));
  const isOfNow = ({ name }) => report.results.some((result) => result.name === name);
  const [{ cpu, cores, node }, other] = [report.machine, earlier.machine];
  if (!results.every(isOfNow) && [cpu, cores, node].join() !== [other.cpu, other.cores, other.node].join()) {
    throw new Error('the rows that were left out have figures of another machine: measure all of them, without --only');
  }
  return { ...report, results };
}

/** Which rows, by name, are as an earlier run measured them. */
function earlierText({ date, results }) {
  const earlier = results.filter((result) => result.date !== date);
  const dates = [...new Set(earlier.map((result) => result.date))].toSorted();
  const rowsOf = (day) => earlier.filter((result) => result.date === day).map(({ name }) => `\`${name}\``);
  return dates.map((day) => `\n\nMeasured on ${day}: ${rowsOf(day).join(', ')}.`).join('');
}

/** `order` has the names of all rows. */
export function updateDocuments(measured, order) {
  mkdirSync(FOLDER, { recursive: true });
  const file = path.join(FOLDER, 'results.json');
  const earlier = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { ...measured, results: [] };
  const report = withEarlierRows(measured, earlier, order);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  for (const [name, svg] of charts(report.results)) writeFileSync(path.join(FOLDER, name), svg);
  const page = replaceBetween(readFileSync(PAGE, 'utf8'), 'machine', machineText(report) + earlierText(report));
  const groups = new Set(report.results.map(({ group }) => group));
  const withTables = [...groups].reduce(
    (text, group) => replaceBetween(text, group ?? 'table', markdownTable(report.results, group)),
    page,
  );
  writeFileSync(PAGE, withTables);
}
