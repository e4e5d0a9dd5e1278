'use strict';

// How long a request pauses before its next attempt, on a clock that the tests move.

jest.mock('../../lib/time/clock.js', () => {
  const clock = jest.requireActual('../../lib/time/clock.js');
  let time = 0;
  return { ...clock, now: () => time, advance: (ms) => (time += ms) };
});
jest.mock('node:timers', () => {
  const timers = jest.requireActual('node:timers');
  const { now } = require('../../lib/time/clock.js');
  const waiting = new Set();
  const setTimeout = (callback, ms) => {
    const timer = { callback, at: now() + ms, unref: () => timer, ref: () => timer };
    waiting.add(timer);
    return timer;
  };
  const fire = () => {
    for (const timer of [...waiting]) if (timer.at <= now() && waiting.delete(timer)) timer.callback();
  };
  return { ...timers, setTimeout, clearTimeout: (timer) => waiting.delete(timer), fire };
});

const { setImmediate } = require('node:timers/promises');
const { advance } = require('../../lib/time/clock.js');
const { fire } = require('node:timers');
const { startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');

/** Lets a millisecond pass. */
async function tick() {
  advance(1);
  fire();
  await setImmediate();
}

/** How long each of `count` requests pauses before each further attempt, in whole ms rounded up, by attempt. */
async function pauses(count, attempts) {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: count });
  const byAttempt = [];
  let [ms, sent] = [0, []];
  const onStarted = (_worker, attempt) => {
    sent.push(attempt);
    if (attempt > 1) (byAttempt[attempt - 1] ??= []).push(ms);
  };
  const answers = Array.from({ length: count }, () =>
    server.request({}, { maxAttempts: attempts, timeoutMs: Infinity, onStarted }).catch((error) => error.attempts),
  );
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    expect(sent).toEqual(Array(count).fill(attempt));
    sent = [];
    for (let answered = 0; answered < count; answered += 1) {
      worker.answer(await worker.nextRequest(), 'error', { error: { message: 'busy', retryable: true } });
    }
    await worker.sync();
    if (attempt < attempts) for (ms = 0; sent.length < count; ms += 1) await tick();
  }
  expect(await Promise.all(answers)).toEqual(Array(count).fill(attempts));
  await server.stop();
  return byAttempt;
}

test('before attempt n + 1 it is uniform in 0 to 50 ms × 2^(n−1)', async () => {
  const count = 400;
  const byAttempt = await pauses(count, 4);
  for (const [n, longest] of [
    [1, 50],
    [2, 100],
    [3, 200],
  ]) {
    expect(Math.max(...byAttempt[n])).toBeLessThanOrEqual(longest);
    // Five parts of the same length, each with a fifth: 80, and by chance never 48 (six standard deviations) more or fewer.
    const parts = [0, 0, 0, 0, 0];
    for (const ms of byAttempt[n]) parts[Math.min(4, Math.floor(((ms - 0.5) * 5) / longest))] += 1;
    for (const part of parts) expect(Math.abs(part - count / 5)).toBeLessThan(48);
  }
});

test('and never longer than 2 s', async () => {
  const byAttempt = await pauses(20, 9);
  expect(Math.max(...byAttempt[7], ...byAttempt[8])).toBeLessThanOrEqual(2_000);
  // Of forty that are uniform in 0 to 2 s none is beyond 1 s once in 10^12 times.
  expect(Math.max(...byAttempt[7], ...byAttempt[8])).toBeGreaterThan(1_000);
});
