'use strict';

// I9 every request ends exactly once and its slot is free again.

const { COMMON_ENDS } = require('./random-requests/ledger.js');
const { Round } = require('./random-requests/round.js');

const ROUNDS = 200;

test('I9: over 200 rounds of kills, replacements, cancels, timeouts, drains and stops at random each request ends once', async () => {
  const counts = {};
  for (let seed = 0; seed < ROUNDS; seed += 1) {
    const ledger = await new Round(seed).run();
    ledger.count(counts);
  }
  // All of it has happened.
  for (const how of COMMON_ENDS) expect([how, counts[how] > 0]).toEqual([how, true]);
}, 120_000);
