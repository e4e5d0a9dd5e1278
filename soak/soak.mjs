// The soak: hostile and honest workers, in processes of their own, against a server that keeps a ledger of what must hold.
//
//   npm run soak -- [--minutes N] [--workers N] [--seed N] [--nodes N]
//
// Each round is judged when it ends. In each the workers live their lives (misdeeds.js), a process of them is frozen or killed, and a network
// is unplugged. Then all go; nothing may be left (what is, is named), and memory and descriptors are measured. In the end the server is stopped
// while some are connected, and its process must end by itself. Exit code 1, with the seed, if anything did not hold.
// Decisions follow from the seed; when things meet does not, since it is a real machine that runs them.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

import { soakCluster } from './cluster.mjs';
import { Child } from './processes.mjs';
import { Network } from './network.mjs';
import { judgeDelivery, judgeDescriptors, judgeSizes, mib, total } from './verdict.mjs';

const { randomFrom } = createRequire(import.meta.url)('../__test__/support/random.js');

/** The server's grace is 2 s; beyond it a cut must be quick. */
const MAX_STOP_MS = 4_000;
const MAX_EXIT_MS = 4_000;
const FLEETS = 3;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    workers: { type: 'string', default: '60' },
    seed: { type: 'string' },
    nodes: { type: 'string', default: '1' },
  },
});
const minutes = Number(values.minutes);
const workers = Number(values.workers);
const nodes = Number(values.nodes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
if (!(minutes > 0) || !(workers >= FLEETS + 1) || !Number.isInteger(seed) || !(nodes >= 1 && nodes <= workers)) {
  console.error(`soak: --minutes must be above 0, --workers at least ${FLEETS + 1}, --seed an integer, --nodes from 1`);
  process.exit(2);
}
if (nodes > 1) process.exit(await soakCluster({ minutes, workers, seed, nodes }));

const random = randomFrom(seed);
const violations = [];
const sizes = [];
const lives = new Map();
// Short rounds for a short soak; those of a long one are long enough for slow things to show.
const rounds = Math.max(3, Math.min(30, Math.round(minutes * 2)));
const roundMs = (minutes * 60_000) / rounds;

console.log(`soak: ${minutes} min in ${rounds} rounds, ${workers} workers, seed ${seed}`);
const { network, reason } = Network.create();
if (network === undefined) console.log(`soak: no network is unplugged, since there can be none here (${reason})`);
/** Where the workers write down which requests they run. */
const runsFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'soak-'));
process.on('exit', () => {
  network?.remove();
  fs.rmSync(runsFolder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
process.on('unhandledRejection', (error) => {
  console.error(`soak: ${error.stack}; seed ${seed}`);
  process.exit(1);
});

const server = new Child('application.js', [seed, workers, runsFolder].map(String), { execArgv: ['--expose-gc'] });
server.exit.then(({ code, signal }) => {
  if (code === 0 || finished) return;
  console.error(`soak: the server's process died (${code ?? signal}); seed ${seed}`);
  process.exit(1);
});
let finished = false;
const { port } = await server.ask('start');

/** Starts the fleet of this place; the last place is the network's, if there is one. */
function startFleet(place, generation) {
  const share = Math.floor(workers / (FLEETS + 1));
  const remote = place === FLEETS && network !== undefined;
  const options = {
    port,
    host: remote ? network.host : '127.0.0.1',
    seed: seed + generation * 17 + place,
    first: place * share,
    count: place === FLEETS ? workers - FLEETS * share : share,
    workers,
    visitors: place === 0,
    runsFolder,
  };
  return new Child('fleet.js', [JSON.stringify(options)], remote ? { execPrefix: network.execPrefix } : {});
}

function note(report) {
  violations.push(...report.violations);
  for (const [name, count] of Object.entries(report.counts)) lives.set(name, Math.max(lives.get(name) ?? 0, 0) + count);
}

/** One round of noise; at its end nobody is connected. */
async function round(number, ms) {
  const fleets = Array.from({ length: FLEETS + 1 }, (_, place) => startFleet(place, number));
  server.ask('noise');
  for (const fleet of fleets) fleet.ask('noise');
  const end = performance.now() + ms;
  const until = (part) => sleep(Math.max(0, end - ms * (1 - part) - performance.now()));

  await until(0.15 + random() * 0.1);
  fleets[1].freeze();
  await until(0.35);
  if (network !== undefined) {
    network.unplug();
    await fleets[FLEETS].kill();
  }
  await until(0.5 + random() * 0.2);
  if (random() < 0.5) fleets[1].thaw();
  const killed = random() < 0.5 ? fleets[2] : fleets[1];
  await killed.kill();
  await until(1);
  fleets[1].thaw();
  const rest = fleets.filter((fleet) => fleet !== killed && (fleet !== fleets[FLEETS] || network === undefined));
  for (const report of await Promise.all(rest.map((fleet) => fleet.ask('quiet')))) note(report);
  await Promise.all(rest.map((fleet) => fleet.kill()));
  const report = await server.ask('quiet');
  violations.push(...report.violations);
  network?.plug();
  return report;
}

const begun = performance.now();
let last;
for (let number = 0; number < rounds; number += 1) {
  // The time that the round before took to become quiet is its own.
  const left = minutes * 60_000 - (performance.now() - begun);
  last = await round(number, Math.max(2_000, Math.min(roundMs, left / (rounds - number)) - 1_500));
  const size = await server.ask('measure');
  sizes.push(size);
  const { counts, delivery } = last;
  console.log(
    `round ${number + 1}: ${counts.sessions} sessions, ${counts.messages} messages, ${counts.tracked} requests so far; ` +
      `${mib(size.rss)} resident, ${mib(size.heapUsed)} heap, ${total(size.descriptors)} descriptors; ` +
      `loop held ${delivery.heldMs.toFixed(1)} ms at most; ${Math.round((performance.now() - begun) / 1000)} s`,
  );
  violations.push(...judgeDescriptors(sizes));
  if (violations.length > 0) break;
}

violations.push(...judgeSizes(sizes), ...judgeDelivery(last.delivery));

const lastVisitors = startFleet(0, rounds);
await lastVisitors.ask('stay');
finished = true;
const stopped = await server.ask('stop');
violations.push(...stopped.violations);
if (stopped.ms > MAX_STOP_MS) violations.push(`stop() took ${Math.round(stopped.ms)} ms`);
if (stopped.workers !== 0) violations.push(`${stopped.workers} workers after stop()`);
const exit = await Promise.race([server.exit, sleep(MAX_EXIT_MS, null, { ref: false })]);
if (exit?.code !== 0)
  violations.push(
    exit === null
      ? 'the process did not end by itself after stop()'
      : `the process ended with ${exit.code ?? exit.signal}`,
  );
await Promise.all([server.kill(), lastVisitors.kill()]);

const { counts, callers, others, lines, delivery } = last;
console.log(`\nlives         ${[...lives].map(([name, count]) => `${name} ${count}`).join(', ')}`);
console.log(
  `ledger        ${Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}`,
);
console.log(
  `callers       ${Object.entries(callers)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}`,
);
console.log(
  `application   ${Object.entries(others)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}`,
);
console.log(
  `log           ${Object.entries(lines)
    .map(([name, count]) => `${name}: ${count}`)
    .join('; ')}`,
);
console.log(
  `delivery      ${delivery.messages} messages in one callback, ${delivery.late} begun after its time, ${delivery.callbacks} callbacks in a turn, ` +
    `${delivery.heldMs.toFixed(1)} ms at most without a turn of the loop (${delivery.elapsedMs.toFixed(1)} ms by the clock)`,
);
console.log(`stop          ${Math.round(stopped.ms)} ms`);
if (violations.length > 0) {
  console.error(`\nsoak: ${violations.length} violations; seed ${seed}, ${workers} workers, ${minutes} min`);
  for (const violation of violations.slice(0, 40)) console.error(`- ${violation}`);
  process.exit(1);
}
console.log(`\nsoak: all held; ${((performance.now() - begun) / 60_000).toFixed(1)} min, seed ${seed}`);
process.exit(0);
