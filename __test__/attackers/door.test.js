'use strict';

// Attackers at the door: they guess tokens, pretend to have other addresses, come from foreign pages and want others' ids. Meanwhile a
// well-behaved worker is served, and memory stays bounded. Server, attackers and worker are processes of their own.

const { startProcess } = require('../support/fleet');

const MAX_GROWTH = 96 * 1024 * 1024;
const authToken = 'right';
const DOOR = {
  authToken,
  allowedOrigins: ['https://app.example'],
  onConflict: 'reject',
  limits: { maxAuthFailures: 5, stopGraceMs: 200 },
};
const LOCKED = 'Too many failed authentications';
const WRONG = 'Worker registration rejected: invalid auth token';

test.each([
  [
    'tokens that are guessed from one address',
    'guessed tokens',
    DOOR,
    ({ lines }) => {
      // A few may have been let in before the fifth had failed.
      expect(lines[LOCKED]).toBe(1);
      expect(lines[WRONG]).toBeLessThan(5 + 8);
    },
  ],
  [
    'addresses that are pretended, without a proxy that is trusted',
    'guessed tokens, many addresses',
    DOOR,
    ({ lines }) => {
      expect(lines[LOCKED]).toBe(1);
      expect(lines[WRONG]).toBeLessThan(5 + 8);
    },
  ],
  [
    'tokens that are guessed from many addresses, through a proxy',
    'guessed tokens, many addresses',
    { ...DOOR, trustProxy: ['127.0.0.1'] },
    ({ lines }) => expect(lines[WRONG]).toBeGreaterThan(50),
  ],
  ['upgrades from foreign pages', 'foreign origins', DOOR, ({ workers }) => expect(workers).toBe(1)],
  [
    "workers with others' ids",
    "others' ids",
    DOOR,
    ({ lines }) => expect(lines['Worker registration rejected: id in use']).toBeGreaterThan(50),
  ],
])(
  '%s: a worker is served meanwhile, and memory is bounded',
  async (_, name, options, check) => {
    const target = startProcess('../attackers/target-process.js');
    const port = await target.ask('start', options);
    const witness = startProcess('../attackers/witness-process.js');
    await witness.ask('open', { port, authToken });
    await witness.ask('count', { echoes: 50, heartbeats: 50, pages: 5 });
    const { resident } = await target.ask('sizes');
    const attacker = startProcess('../attackers/attacker-process.js');
    await attacker.ask('begin', { name, port, size: 8 });
    do expect(await witness.ask('count', { echoes: 20, heartbeats: 20, pages: 3 })).toBe(null);
    while ((await attacker.ask('progress')) < 400);
    const sizes = await target.ask('sizes');
    check(sizes);
    expect(sizes.peak - resident).toBeLessThan(MAX_GROWTH);
    expect(await target.ask('statusOf', 'witness')).toBe('available');
    await attacker.ask('stop');
    await target.ask('stop');
  },
  60000,
);
