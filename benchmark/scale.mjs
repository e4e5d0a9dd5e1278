// One server with as many workers as the machine lets it have, all of them idle but for their heartbeats.
//
//   npm run bench:scale -- [--workers N] [--seconds N] [--every MS] [--vanish N] [--implementation standin]
//
// By default 100,000 workers, or as many as the limit on open files allows, from as many loopback addresses as it takes, with a
// heartbeat every 15 s. Then half of the workers, 50,000 at most, vanish at once. It fails if a worker is lost or forgotten.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Load, Server, build, root } from './support/processes.mjs';
import { number } from './support/table.mjs';

/** Open files that a process needs besides its workers'. */
const SPARE_FILES = 100;
const PER_ADDRESS = 20_000;

const { values: options } = parseArgs({
  options: {
    workers: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '45' },
    every: { type: 'string', default: '15000' },
    vanish: { type: 'string' },
    implementation: { type: 'string', default: 'native' },
  },
});

/** Node raises its own limit to the hard one as it starts, and its children inherit that. */
function fileLimit() {
  if (process.platform === 'win32') return Infinity;
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Infinity : Number(limit);
}

const room = fileLimit() - SPARE_FILES;
const workers = Math.min(Number(options.workers), room);
if (workers < Number(options.workers)) {
  console.log(
    `The limit on open files (ulimit -Hn: ${fileLimit()}) allows ${workers} workers instead of ${options.workers}.\n`,
  );
}
const leaving = Number(options.vanish ?? Math.min(50_000, workers >> 1));
const milliseconds = (micros) => `${number(micros / 1000, 3)} ms`;

function show(title, entries) {
  console.log(title);
  for (const [name, value] of entries) console.log(`  ${name.padEnd(44)}${value}`);
}

const worst = (reports, name) => Math.max(...reports.map(({ latency }) => latency[name]));
const total = (reports, name) => reports.reduce((sum, report) => sum + report[name], 0);

build();
const server = new Server({
  file: path.join(root, 'benchmark', 'support', 'scale-server.mjs'),
  name: 'scale',
  implementation: options.implementation,
  params: { workers },
});
const loads = [];
try {
  const port = await server.listening();
  const bare = await server.tell('rss');
  await server.begin();
  for (let first = 0; first < workers; first += Math.min(room, PER_ADDRESS)) {
    const count = Math.min(room, PER_ADDRESS, workers - first);
    const everyMs = Number(options.every);
    loads.push(new Load({ port, first, workers: count, perAddress: PER_ADDRESS, mode: 'beats', everyMs }));
  }
  await Promise.all(loads.map((load) => load.ready()));
  const connected = await server.tell('connected');
  assert.equal(connected.count, workers, 'everyone is registered');
  show(`${workers} workers connect and register, ${options.implementation}`, [
    ['time', `${number(connected.seconds, 3)} s, ${number(workers / connected.seconds, 3)} a second`],
    ['server CPU each', `${number(connected.usage.cpuMicros / workers, 3)} µs`],
    ['resident memory each', `${number(((await server.tell('rss')) - bare) / workers, 4)} bytes`],
    ['longest event loop delay', `${number(connected.usage.loopDelayMs ?? 0, 3)} ms`],
  ]);

  const seconds = Number(options.seconds);
  await server.tell('phase');
  for (const load of loads) load.say('go');
  await setTimeout(seconds * 1000);
  const idle = await server.tell('measured');
  const beats = await Promise.all(loads.map((load) => load.report()));
  assert.deepEqual(
    [idle.count, idle.available, total(beats, 'lost')],
    [workers, workers, 0],
    'everyone is there and well',
  );
  show(`Idle for ${seconds} s, a heartbeat of each every ${options.every} ms`, [
    ['heartbeats answered', `${total(beats, 'messages')} (${total(beats, 'unanswered')} under way)`],
    ['CPU of the server', `${number(idle.usage.cpuMicros / seconds / 1e4, 3)} % of a core`],
    ['CPU of its JavaScript thread', `${number((idle.usage.jsMicros ?? 0) / seconds / 1e4, 3)} % of a core`],
    ['ack latency, p50 and p99', `${milliseconds(worst(beats, 'p50'))}, ${milliseconds(worst(beats, 'p99'))}`],
    ['longest event loop delay', `${number(idle.usage.loopDelayMs, 3)} ms`],
    ['resident memory of the server', `${number(idle.usage.rss / 1e6, 4)} MB`],
  ]);

  await server.tell('phase', leaving);
  const since = performance.timeOrigin + performance.now();
  let left = leaving;
  for (const [index, load] of loads.entries()) {
    const share = Math.floor(left / (loads.length - index));
    load.say(`vanish ${share}`);
    left -= share;
  }
  const gone = await server.tell('vanished', since);
  const rest = await Promise.all(loads.map((load) => load.report()));
  assert.deepEqual(
    [gone.count, gone.available, total(rest, 'lost')],
    [workers - leaving, workers - leaving, 0],
    'half are left',
  );
  show(`${leaving} of them vanish at once`, [
    ['the first is reported after', `${number(gone.first, 3)} ms`],
    ['all are reported after', `${number(gone.all, 3)} ms`],
    ['server CPU each', `${number(gone.usage.cpuMicros / leaving, 3)} µs`],
    ['longest event loop delay', `${number(gone.usage.loopDelayMs, 3)} ms`],
    ['ack latency of the others meanwhile, worst', milliseconds(worst(rest, 'max'))],
  ]);
} finally {
  await Promise.all(loads.map((load) => load.quit()));
  await server.quit();
}
