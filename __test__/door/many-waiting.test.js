'use strict';

// Thousands of registrations that wait for slow decisions at once, on as many sockets. The server is a process of its own.

const { execFileSync } = require('node:child_process');
const net = require('node:net');
const { once } = require('node:events');
const { startProcess } = require('../support/fleet.js');
const { onCleanup } = require('../support/cleanup.js');
const { until } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');
const { PING, frame, json, registration, upgradeHead } = require('../support/raw.js');

const COUNT = 5_000;
const KIB = 1024;

/** How many files a process may open. Node raises its own limit to that. */
function fileLimit() {
  if (process.platform === 'win32') return Infinity;
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Infinity : Number(limit);
}

/** A socket on which a worker registers. It `hasPong` and `isIn` once it has had a pong and its ack. */
async function register(port, id) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  onCleanup(() => socket.destroy());
  const worker = { socket, isIn: false, hasPong: false };
  let received = '';
  socket.on('data', (data) => {
    received += data.toString('latin1');
    worker.isIn = received.includes('"success":true');
    worker.hasPong = received.includes('\x8a');
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(Buffer.concat([Buffer.from(upgradeHead('/')), json(registration(id))]));
  return worker;
}

async function registerAll(port) {
  const workers = [];
  // As many at a time as the listening socket's queue takes.
  while (workers.length < COUNT) {
    const batch = Array.from({ length: 250 }, (_, i) => register(port, `w${workers.length + i}`));
    workers.push(...(await Promise.all(batch)));
  }
  return workers;
}

const behind = (bytes) => json({ type: 'behind', text: 'x'.repeat(bytes) });
const enough = fileLimit() >= COUNT + 1_000;
const name = enough ? '' : ` (skipped: it needs a limit of ${COUNT + 1_000} open files, ulimit -Hn)`;

(enough ? test : test.skip)(
  `I5: 5,000 registrations wait at once, in bounded memory, another worker is let in meanwhile, and all join in the end${name}`,
  async () => {
    const judging = startProcess('../door/programs/judging-process.js');
    const port = await judging.ask('start', { limits: { authTimeoutMs: 0, registrationTimeoutMs: 0 } });
    const before = await judging.ask('look');
    const workers = await registerAll(port);
    let now;
    do now = await judging.ask('look');
    while (now.waiting < COUNT);
    // The pong shows that as much was read as is read at all.
    const bytes = Buffer.concat([behind(2 * KIB), frame(PING, Buffer.alloc(0)), behind(60 * KIB)]);
    for (const { socket } of workers) socket.write(bytes);
    await until(() => workers.every(({ hasPong }) => hasPong));
    now = await judging.ask('look');
    expect([now.waiting, now.workers, now.heard]).toEqual([COUNT, 0, 0]);
    // Were all of it read, it would be 60 KiB more for each.
    expect((now.rss - before.rss) / COUNT).toBeLessThan(40 * KIB);
    expect(await connectWorker({ port }, 'quick')).toMatchObject({ ack: { success: true } });
    await judging.ask('letIn');
    await until(() => workers.every(({ isIn }) => isIn));
    do now = await judging.ask('look');
    while (now.heard < 2 * COUNT);
    expect([now.waiting, now.workers, now.heard]).toEqual([0, COUNT + 1, 2 * COUNT]);
    await judging.ask('stop');
  },
  120_000,
);
