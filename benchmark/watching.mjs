// What watching costs a server: the same rows with what counts and publishes, and without.
//
//   node benchmark/watching.mjs [--runs N] [--only ROW,...] [--quick]
//
// Beside this package as it is (its counters count, and nobody subscribes to its channels) run, in turn, a copy whose counters do
// nothing (`uncounted`: built with the feature of that name, and its JavaScript notes nothing), a copy whose channels are taken out
// (`unpublished`), and this package with a subscriber on every channel (`subscribed`). A ratio compares medians of processor time for each
// message; what it is worth shows in the smallest and the largest ratio of single rounds beside it. Single steps are measured, too. Needs Rust, as `npm run build` does.

import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { runOnce } from './support/measure.mjs';
import { build, root } from './support/processes.mjs';

const require = createRequire(import.meta.url);
const { hostPlatform } = require('../lib/native/platforms.js');

const ROWS = [
  ['inbound-flood', 'inbound-flood-1'],
  ['heartbeats', 'heartbeats'],
  ['sends', 'sends'],
  ['requests', 'requests-200'],
  ['dispatched', 'dispatched-200'],
];
const VARIANTS = ['uncounted', 'unpublished', 'subscribed'];
const LIBRARIES = {
  darwin: 'libworker_server_addon.dylib',
  linux: 'libworker_server_addon.so',
  win32: 'worker_server_addon.dll',
};

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);

/** Replaces a text in a file of a copy; it must be there once. */
function replaceIn(file, text, replacement) {
  const source = readFileSync(file, 'utf8');
  if (source.split(text).length !== 2) throw new Error(`${file} does not have ${JSON.stringify(text)} once`);
  writeFileSync(file, source.replace(text, replacement));
}

/** A copy of the package in target/watching/, with an addon. */
function copyPackage(name, addon) {
  const folder = path.join(root, 'target', 'watching', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ['index.js', 'package.json', 'lib']) {
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
  copyFileSync(addon, path.join(folder, `worker-server.${hostPlatform().suffix}.node`));
  return folder;
}

function makeCopies() {
  const addon = path.join(root, `worker-server.${hostPlatform().suffix}.node`);
  const args = ['build', '--release', '--quiet', '--lib', '--features', 'uncounted'];
  const { status } = spawnSync('cargo', args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`cargo ${args.join(' ')} ended with ${status}`);
  const uncounted = copyPackage('uncounted', path.join(root, 'target', 'release', LIBRARIES[process.platform]));
  const note = '  #note(kind, model, which, ms) {\n';
  replaceIn(
    path.join(uncounted, 'lib/server/metrics.js'),
    note,
    '  #note() {}\n  #noteNothing(kind, model, which, ms) {\n',
  );
  const unpublished = copyPackage('unpublished', addon);
  // As it is where nobody subscribes, without asking.
  const channels = "const { channel, tracingChannel } = require('node:diagnostics_channel');";
  const silent = 'const channel = () => ({ hasSubscribers: false });\nconst tracingChannel = channel;';
  replaceIn(path.join(unpublished, 'lib/workers/diagnostics.js'), channels, silent);
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

async function measure(row) {
  const names = ['native', ...VARIANTS];
  const cpu = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < runs; round += 1) {
    // The first of a round is another one each time.
    for (let at = 0; at < names.length; at += 1) {
      const implementation = names[(round + at) % names.length];
      const shows = [...new Set([...(row.shows ?? []), 'cpu'])];
      const asNative = { ...row, shows, load: (params) => row.load(params, 'native') };
      cpu[implementation].push((await runOnce(asNative, { implementation, quick: values.quick })).cpu);
    }
  }
  return cpu;
}

/** How many ns one call of `step` takes, `of` things in each: the median of many rounds. */
function nanoseconds(step, of = 1) {
  const times = [];
  for (let round = 0; round < 200; round += 1) {
    const began = process.hrtime.bigint();
    for (let n = 0; n < 1_000; n += 1) step();
    times.push(Number(process.hrtime.bigint() - began) / (1_000 * of));
  }
  return median(times);
}

/**
 * What counting takes by itself, which the rows are too unsteady to show. A native counter is the difference between notes
 * from JavaScript that count and notes that don't.
 */
function measureSteps() {
  const { MAX_METRIC_NOTES, METRIC_NOTE_FIELDS, MetricNoteKind } = require('../lib/native/abi.js');
  const native = require('../lib/native/addon.js');
  const { ServerMetrics } = require('../lib/server/metrics.js');
  const { Diagnostics } = require('../lib/workers/diagnostics.js');
  const notesOf = (kind) => {
    const notes = new Float64Array(MAX_METRIC_NOTES * METRIC_NOTE_FIELDS);
    for (let at = 0; at < notes.length; at += METRIC_NOTE_FIELDS) notes.set([kind, 0, 0, 0], at);
    return notes;
  };
  const [counted, uncounted] = [notesOf(MetricNoteKind.LimitHit), notesOf(99)];
  const counters = new native.NativeMetrics();
  const metrics = new ServerMetrics();
  const diagnostics = new Diagnostics({});
  const request = {};
  return {
    counter:
      nanoseconds(() => counters.take(counted, MAX_METRIC_NOTES), MAX_METRIC_NOTES) -
      nanoseconds(() => counters.take(uncounted, MAX_METRIC_NOTES), MAX_METRIC_NOTES),
    request: nanoseconds(() => {
      metrics.sent('m', 'first', 1);
      metrics.ended('m', 'completed', 2);
    }),
    channel: nanoseconds(() => diagnostics.trace(request, () => {})),
  };
}

const percent = (ratio) => `${ratio < 1 ? '−' : '+'}${Math.abs(100 * (ratio - 1)).toFixed(1)} %`;

/** How much more this package takes than a variant, or the variant than it. */
function compared(cpu, more, less) {
  const rounds = cpu[more].map((value, round) => value / cpu[less][round]);
  const ratio = median(cpu[more]) / median(cpu[less]);
  return `${percent(ratio)} (${percent(Math.min(...rounds))} … ${percent(Math.max(...rounds))})`;
}

build();
const steps = measureSteps();
console.log(`A native counter: ${steps.counter.toFixed(1)} ns.`);
console.log(`What JavaScript notes of a request, with the histograms that it goes to: ${steps.request.toFixed(0)} ns.`);
console.log(`A look at a channel that nobody subscribes to: ${steps.channel.toFixed(1)} ns.\n`);
makeCopies();
console.log(`The server's processor time for each message, medians of ${runs} runs in turn:\n`);
console.log('| row | as it is | counters | channels, nobody subscribed | a subscriber on each channel |');
console.log('| --- | --- | --- | --- | --- |');
const only = values.only?.split(',');
for (const [file, name] of ROWS) {
  if (only !== undefined && !only.includes(name)) continue;
  const source = path.join(root, 'benchmark', 'scenarios', `${file}.mjs`);
  const { default: rows } = await import(pathToFileURL(source));
  const row = { file: source, ...rows.find((each) => each.name === name) };
  const cpu = await measure(row);
  const cells = [
    row.title,
    `${median(cpu.native).toPrecision(3)} µs`,
    compared(cpu, 'native', 'uncounted'),
    compared(cpu, 'native', 'unpublished'),
    compared(cpu, 'subscribed', 'native'),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
