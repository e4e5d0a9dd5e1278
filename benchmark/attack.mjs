// The attacks of __test__/attackers in full size, on this package and on the same package in plain JavaScript on npm's `ws`, each
// in a process of its own, beside a well-behaved worker in another.
//
//   npm run attack -- [--seconds N] [--only PART_OF_A_NAME] [--ours]
//
// Each row: peak resident memory of the server's process and by how much it grew from before the attack, its processor time a
// second, how many attacking steps (connections, writes of 64 KiB) it took a second, and what the well-behaved worker saw: the
// 50th percentile and the longest of its echoes, heartbeats and pages on new connections, in milliseconds. Limits are the defaults.

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const { startProcess } = require('../__test__/support/fleet.js');
const { certificates } = require('../__test__/support/certificates.js');
const { cleanUp } = require('../__test__/support/cleanup.js');

/** Connections of each attack. */
const SIZES = {
  'slow heads': 1000,
  'mute peers': 5000,
  'connect and reset': 50,
  'upgrade and drop': 50,
  'oversize messages': 20,
  'announced messages': 200,
  'endless fragments': 8,
  'empty fragments': 8,
  'ping flood': 8,
  'ping flood, pongs unread': 8,
  'unknown types': 8,
  'bad JSON': 8,
  'message flood': 8,
  "others' heartbeats": 8,
  'registrations on a loop': 50,
  'sent much, reading nothing': 4,
  'close and reopen': 50,
  'HTTP requests': 50,
  'guessed tokens': 50,
  'guessed tokens, many addresses': 50,
  'foreign origins': 50,
  "others' ids": 50,
  'TLS: slow handshakes': 1000,
  'TLS: garbage records': 50,
  'TLS: handshakes on a loop': 20,
};

/** How the server is configured against the attacks at its door. The stand-in knows tokens only. */
const DOOR_ATTACKS = ['guessed tokens', 'guessed tokens, many addresses', 'foreign origins', "others' ids"];
const authToken = 'right';
const DOOR = {
  authToken,
  trustProxy: ['127.0.0.1'],
  allowedOrigins: ['https://app.example'],
  onConflict: 'reject',
  limits: { maxAuthFailures: 10 },
};

const MIB = 1024 * 1024;
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    ours: { type: 'boolean' },
  },
});
const seconds = Number(values.seconds);

const quantile = (list, q) =>
  list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))] ?? NaN;
const number = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '-');

async function attack(name, size, standin) {
  const target = startProcess('../attackers/target-process.js');
  const isAtDoor = DOOR_ATTACKS.includes(name);
  // The stand-in has no TLS.
  const { ca, server: pair } = name.startsWith('TLS') ? certificates() : {};
  const tls = pair && { cert: pair.cert, key: pair.key };
  const options = isAtDoor ? (standin ? { authToken } : DOOR) : {};
  const port = await target.ask('start', { standin, tls, ...options });
  const witness = startProcess('../attackers/witness-process.js');
  await witness.ask('open', { port, ca: ca?.cert, ...(isAtDoor && { authToken }) });
  await witness.ask('count', { echoes: 200, heartbeats: 200, pages: 20 });
  const before = await target.ask('sizes');
  const attacker = startProcess('../attackers/attacker-process.js');
  const row = { crashed: null };
  // A target that dies under the attack is a result, not a reason to end.
  const died = new Promise((resolve) =>
    target.child.once('exit', (code, signal) => resolve(`died (${code ?? signal})`)),
  );
  const run = async () => {
    const begun = performance.now();
    const saw = witness.ask('measure', { ms: seconds * 1000 });
    await attacker.ask('begin', { name, port, size });
    if (name.startsWith('sent much')) await target.ask('sendMuch', { times: 200 });
    row.saw = await saw;
    row.steps = (await attacker.ask('progress')) / ((performance.now() - begun) / 1000);
    const after = await target.ask('sizes');
    row.peak = after.peak;
    row.grown = after.peak - before.resident;
    row.cpu = (after.cpuMs - before.cpuMs) / (performance.now() - begun);
    return null;
  };
  const limit = new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000 + 30_000, 'does not answer').unref();
  });
  row.crashed = await Promise.race([run().catch((error) => error.message), died, limit]);
  await cleanUp();
  return row;
}

function print(name, which, { crashed, peak, grown, cpu, steps, saw }) {
  const seen = ['echo', 'heartbeat', 'page'].map((kind) => {
    const times = saw?.times[kind] ?? [];
    return `${number(quantile(times, 0.5))}/${number(Math.max(...times), 0)}`.padStart(13);
  });
  const cells = [number(peak / MIB, 0), number(grown / MIB, 0), number(cpu, 2), number(steps, 0)].map((cell) =>
    cell.padStart(9),
  );
  const end = crashed ?? (saw?.closed ? `witness closed ${saw.closed}` : '');
  console.log(`${name.padEnd(28)}${which.padEnd(6)}${cells.join('')}${seen.join('')}  ${end}`);
}

console.log(`Node ${process.version}, ${seconds} s an attack\n`);
const heads = ['peak MiB', 'grown', 'cpu', 'steps/s'].map((cell) => cell.padStart(9)).join('');
console.log(
  `${'attack'.padEnd(28)}${'on'.padEnd(6)}${heads}${['echo', 'heartbeat', 'page'].map((cell) => cell.padStart(13)).join('')}`,
);
for (const [name, size] of Object.entries(SIZES)) {
  if (!name.includes(values.only)) continue;
  for (const standin of values.ours || name.startsWith('TLS') ? [false] : [false, true])
    print(name, standin ? 'ws' : 'here', await attack(name, size, standin));
}
process.exit(0);
