// This package beside its peer, row by row, in one run on one machine.
//
//   npm run bench -- [--quick] [--only NAME,...] [--runs N] [--confine HOW] [--json FILE] [--docs] [--docs-from FILE]
//
// --quick runs every row once and briefly, to see that all of it works. --only takes rows whose names contain one of the
// NAMEs. --docs rewrites the tables, the figures and the charts in docs/, where rows that --only leaves out stay as they
// are; --docs-from does that with what an earlier run's --json wrote. Each run has a fresh server process and a fresh
// load generator; the implementations take turns. --confine runs the server's process on one processor (`processor`), or with the time of a number of them (`0.5`).
// It fails if work was lost, and never because of how fast something was.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { confine } from './support/confinement.mjs';
import { machineText, updateDocuments } from './support/documents.mjs';
import { runRow } from './support/measure.mjs';
import { build } from './support/processes.mjs';
import { plainTables } from './support/table.mjs';

const ORDER = [
  'inbound-flood',
  'inbound-paced',
  'heartbeats',
  'sends',
  'requests',
  'small-fleets',
  'dispatched',
  'streams',
  'waiting',
  'large',
  'fleet',
  'http',
];
const here = path.dirname(fileURLToPath(import.meta.url));

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string' },
    confine: { type: 'string' },
    json: { type: 'string' },
    docs: { type: 'boolean', default: false },
    'docs-from': { type: 'string' },
  },
});
if (options.quick && options.docs) throw new Error('--quick is too short for figures that are kept: leave out --docs');
const runs = Number(options.runs ?? (options.quick ? 1 : 5));

async function allRows() {
  const names = readdirSync(path.join(here, 'scenarios')).map((file) => path.basename(file, '.mjs'));
  const ordered = names.toSorted((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  const files = ordered.map((name) => path.join(here, 'scenarios', `${name}.mjs`));
  const modules = await Promise.all(files.map(async (file) => [file, await import(pathToFileURL(file))]));
  return modules.flatMap(([file, { default: rows }]) => rows.map((row) => ({ file, ...row })));
}

const all = await allRows();
const order = all.map(({ name }) => name);
if (options['docs-from'] !== undefined) {
  updateDocuments(JSON.parse(readFileSync(options['docs-from'], 'utf8')), order);
  process.exit(0);
}
const only = options.only?.split(',');
const rows = all.filter(({ name }) => only?.some((part) => name.includes(part)) ?? true);
if (rows.length === 0) throw new Error(`no row is called ${options.only}`);

const machine = {
  cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
  cores: os.availableParallelism(),
  memoryGb: Math.round(os.totalmem() / 2 ** 30),
  system: `${os.type()} ${os.release()} ${os.arch()}`,
  node: process.version,
  loadAverage: Number(os.loadavg()[0].toFixed(1)),
};
build();
const confinement = options.confine === undefined ? undefined : confine(options.confine);
if (options.confine !== undefined && confinement === undefined) process.exit(0);
const results = [];
for (const row of rows) {
  process.stderr.write(`${row.name} `);
  results.push(await runRow(row, { runs, quick: options.quick, confinement, onRun: () => process.stderr.write('.') }));
  process.stderr.write('\n');
}
const report = {
  date: new Date().toISOString().slice(0, 10),
  machine,
  runs,
  quick: options.quick,
  confined: options.confine,
  results,
};
console.log(
  `\n${options.quick ? 'Short runs, to see that everything works; the figures mean little. ' : ''}${machineText(report)}\n`,
);
console.log(plainTables(results));
if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
if (options.docs) updateDocuments(report, order);
