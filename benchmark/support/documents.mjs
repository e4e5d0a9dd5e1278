// Puts the results of a run into docs/: the machine, the table and those of groups of rows between their markers, the figures as JSON, and the charts.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

export function updateDocuments(report) {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path.join(FOLDER, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
  for (const [file, svg] of charts(report.results)) writeFileSync(path.join(FOLDER, file), svg);
  const page = replaceBetween(readFileSync(PAGE, 'utf8'), 'machine', machineText(report));
  const groups = new Set(report.results.map(({ group }) => group));
  const withTables = [...groups].reduce(
    (text, group) => replaceBetween(text, group ?? 'table', markdownTable(report.results, group)),
    page,
  );
  writeFileSync(PAGE, withTables);
}
