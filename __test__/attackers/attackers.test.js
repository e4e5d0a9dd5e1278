'use strict';

// Short forms of the attacks (`npm run attack` has them in full size): while each goes on, a well-behaved worker has its
// messages echoed, its heartbeats answered and a page served, and the server's memory stays within what the limits allow.
// Server, attacker and worker are processes of their own, so that none of them waits for another's event loop.

const { startProcess } = require('../support/fleet');

const MIB = 1024 * 1024;
/** Small limits, so that crossing them shows in seconds. */
const LIMITS = {
  maxMessageBytes: 1 * MIB,
  headTimeoutMs: 500,
  registrationTimeoutMs: 2_000,
  maxQueuedBytes: 2 * MIB,
  maxUnhandledBytes: 1 * MIB,
  maxUnhandledBytesTotal: 4 * MIB,
  stopGraceMs: 200,
};
/**
 * Several times what these limits allow, and what JavaScript's heap takes before it collects; a fraction of what an
 * attack sends in the same time.
 */
const MAX_GROWTH = 96 * MIB;

async function startAttacked(limits = LIMITS) {
  const target = startProcess('../attackers/target-process.js');
  const port = await target.ask('start', { limits });
  const witness = startProcess('../attackers/witness-process.js');
  await witness.ask('open', { port });
  // Code that is compiled and caches that are filled once are no growth.
  await witness.ask('count', { echoes: 50, heartbeats: 50, pages: 5 });
  const { resident } = await target.ask('sizes');
  const begin = async (name, size) => {
    const attacker = startProcess('../attackers/attacker-process.js');
    await attacker.ask('begin', { name, port, size });
    return attacker;
  };
  return { target, witness, begin, resident };
}

/** The witness is served while each attack makes `steps` more steps. */
async function expectServed({ witness, attackers, steps }) {
  const progress = () => Promise.all(attackers.map((attacker) => attacker.ask('progress')));
  const begun = await progress();
  let now;
  do {
    expect(await witness.ask('count', { echoes: 20, heartbeats: 20, pages: 3 })).toBe(null);
    now = await progress();
  } while (now.some((done, index) => done < begun[index] + steps));
}

test.each([
  ['heads that come a byte at a time', 'slow heads', 100, 8],
  ['peers that connect and say nothing', 'mute peers', 500, 8],
  ['connections that are reset at once', 'connect and reset', 20, 500],
  ['upgrades that are dropped at once', 'upgrade and drop', 20, 500],
  ['messages that are announced as too large', 'oversize messages', 8, 200],
  ['messages that are announced and hardly come', 'announced messages', 50, 10],
  ['a message in fragments without end', 'endless fragments', 4, 200],
  ['fragments of nothing without end', 'empty fragments', 4, 50],
  ['a flood of pings', 'ping flood', 4, 200],
  ['a flood of pings whose pongs nobody reads', 'ping flood, pongs unread', 4, 20],
  ['a flood of messages that nobody listens to', 'unknown types', 4, 50],
  ['a flood of bad JSON', 'bad JSON', 4, 30],
  ['a flood of messages that a handler takes', 'message flood', 4, 100],
  ['heartbeats that name other workers', "others' heartbeats", 4, 50],
  ['registrations on a loop', 'registrations on a loop', 16, 300],
  ['workers that come and go', 'close and reopen', 16, 300],
  ['HTTP requests on new connections', 'HTTP requests', 16, 300],
])(
  '%s: a worker is served meanwhile, and memory is bounded',
  async (_, name, size, steps) => {
    const { target, witness, begin, resident } = await startAttacked();
    const attacker = await begin(name, size);
    await expectServed({ witness, attackers: [attacker], steps });
    const { peak } = await target.ask('sizes');
    expect(peak - resident).toBeLessThan(MAX_GROWTH);
    expect(await target.ask('statusOf', 'witness')).toBe('available');
    await attacker.ask('stop');
    // What the attackers leave behind does not keep it from stopping.
    await target.ask('stop');
  },
  60000,
);

test('workers that are sent much and read nothing: a worker is served meanwhile, and memory is bounded', async () => {
  const { target, witness, begin, resident } = await startAttacked();
  const attacker = await begin('sent much, reading nothing', 8);
  await target.ask('sendMuch', { times: 100 });
  await expectServed({ witness, attackers: [attacker], steps: 50 });
  const { peak } = await target.ask('sizes');
  // 800 MiB were to be sent.
  expect(peak - resident).toBeLessThan(MAX_GROWTH);
  await target.ask('stop');
}, 60000);

test('all at once: a worker is served meanwhile', async () => {
  const { target, witness, begin } = await startAttacked();
  const names = ['slow heads', 'mute peers', 'upgrade and drop', 'bad JSON', 'ping flood', 'registrations on a loop'];
  const attackers = await Promise.all(names.map((name) => begin(name, 4)));
  await expectServed({ witness, attackers, steps: 3 });
  expect(await target.ask('statusOf', 'witness')).toBe('available');
  await target.ask('stop');
}, 60000);
