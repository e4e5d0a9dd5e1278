'use strict';

// The ids of requests, and how often each has run, by what the workers wrote down: a process of them may be killed at any
// moment, and so may one of the callers. So an id says how often its request may run.

const fs = require('node:fs');
const path = require('node:path');

/** Ids of request() begin with it; those of the hand-written way do not. */
const PREFIX = 'q';

/** @param name that of the server where it is asked for */
const idOf = (name, number, maxAttempts) => `${PREFIX}${name}-${number}-${maxAttempts}`;

const isOfRequest = (requestId) => requestId.startsWith(PREFIX);

const maxAttemptsOf = (requestId) => Number(requestId.split('-').at(-1));

/**
 * Judges what the workers have written down, and removes it. Returns how many runs there were.
 *
 * @param {(requestId: string) => boolean} wasAskedFor
 */
function judgeRuns(folder, wasAskedFor, complain) {
  const runs = new Map();
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    for (const id of fs.readFileSync(file, 'utf8').split('\n')) if (id !== '') runs.set(id, (runs.get(id) ?? 0) + 1);
    fs.rmSync(file);
  }
  let total = 0;
  for (const [requestId, count] of runs) {
    total += count;
    const most = maxAttemptsOf(requestId);
    if (!wasAskedFor(requestId)) complain(`${requestId} ran, and nobody had asked for it`);
    else if (count > most) complain(`${requestId} ran ${count} times, and at most ${most} were allowed`);
  }
  return total;
}

module.exports = { idOf, isOfRequest, judgeRuns };
