'use strict';

// The intervals of the last minutes, by a clock of the test's own.

const { History, INTERVALS, INTERVAL_MS } = require('../../lib/status/history.js');

const EPOCH = Date.parse('2026-01-01T00:00:02.500Z');

function createHistory() {
  let now = 1_000;
  const history = new History(() => now, EPOCH - now);
  return { history, pass: (ms) => (now += ms) };
}

test('intervals begin at whole multiples on the calendar, and the last one is not over', () => {
  const { history, pass } = createHistory();
  expect(history.entries().map(({ at }) => at)).toEqual(['2026-01-01T00:00:00.000Z']);
  pass(2_499);
  expect(history.entries()).toHaveLength(1);
  pass(1);
  expect(history.entries().map(({ at }) => at)).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:05.000Z']);
});

test('what ends is counted in the interval in which it ends', () => {
  const { history, pass } = createHistory();
  history.completed(10);
  history.failed();
  pass(INTERVAL_MS);
  history.completed(10);
  history.completed(20);
  expect(history.entries().map(({ completed, failed }) => [completed, failed])).toEqual([
    [1, 1],
    [2, 0],
  ]);
});

test('intervals in which nothing happened are there, and the oldest are forgotten', () => {
  const { history, pass } = createHistory();
  history.completed(1);
  pass(3 * INTERVAL_MS);
  expect(history.entries().map(({ completed }) => completed)).toEqual([1, 0, 0, 0]);
  pass(10_000 * INTERVAL_MS);
  history.failed();
  const entries = history.entries();
  expect(entries).toHaveLength(INTERVALS);
  expect(entries.at(-1)).toMatchObject({ completed: 0, failed: 1 });
  const times = entries.map(({ at }) => Date.parse(at));
  times.slice(1).forEach((time, i) => expect(time - times[i]).toBe(INTERVAL_MS));
  expect(times.at(-1)).toBe(Date.parse('2026-01-01T00:00:00.000Z') + 10_003 * INTERVAL_MS);
});

test('p50Ms and p95Ms are within 2.2 %, and null where nothing has completed', () => {
  const { history, pass } = createHistory();
  for (let ms = 1; ms <= 1_000; ms += 1) history.completed(ms);
  const [{ p50Ms, p95Ms }] = history.entries();
  expect(Math.abs(p50Ms / 500 - 1)).toBeLessThan(0.023);
  expect(Math.abs(p95Ms / 950 - 1)).toBeLessThan(0.023);
  pass(INTERVAL_MS);
  history.failed();
  expect(history.entries().at(-1)).toMatchObject({ failed: 1, p50Ms: null, p95Ms: null });
  history.completed(80);
  const last = history.entries().at(-1);
  expect(last.p50Ms).toBe(last.p95Ms);
  expect(Math.abs(last.p50Ms / 80 - 1)).toBeLessThan(0.023);
});

test.each([0, 1e-9, 1e12, Infinity])('a duration of %d ms is counted as the nearest that it knows', (ms) => {
  const { history } = createHistory();
  history.completed(ms);
  const [{ completed, p50Ms }] = history.entries();
  expect(completed).toBe(1);
  expect(Number.isFinite(p50Ms)).toBe(true);
});
