'use strict';

// Numbers, durations and times as people read them.

const numbers = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const formatNumber = (value) => numbers.format(value);

/** A count with its word: `1 worker`, `2 workers`. */
const formatCount = (count, word) => `${formatNumber(count)} ${word}${count === 1 ? '' : 's'}`;

/** `12`, `3.4`, `0.25`: a whole number from 10 on, else with at most two decimals. */
function formatRate(value) {
  if (value >= 10) return formatNumber(Math.round(value));
  return String(Math.round(value * 100) / 100);
}

/** How long work takes: `3 ms`, `1.2 s`, `2 min 5 s`. */
function formatDuration(ms) {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 0.95) return `${Math.max(0, Math.round(ms * 10) / 10)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  return formatAge(Math.round(ms / 1_000) * 1_000);
}

/** How old something is, in whole units, in two of them while there are few: `47 s`, `3 min 5 s`, `22 h`, `4 d 3 h`. */
function formatAge(ms) {
  if (!Number.isFinite(ms)) return '–';
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (ms < HOUR_MS) return withRest(ms, MINUTE_MS, 'min', 1_000, 's');
  if (ms < DAY_MS) return withRest(ms, HOUR_MS, 'h', MINUTE_MS, 'min');
  return withRest(ms, DAY_MS, 'd', HOUR_MS, 'h');
}

function withRest(ms, unitMs, unit, restMs, rest) {
  const whole = Math.floor(ms / unitMs);
  const left = Math.floor((ms % unitMs) / restMs);
  return `${whole} ${unit}${left === 0 || whole >= 10 ? '' : ` ${left} ${rest}`}`;
}

const formatClock = (time) => clock.format(time);
const formatTime = (time) => dayAndClock.format(time);

module.exports = {
  formatAge,
  formatClock,
  formatCount,
  formatDuration,
  formatNumber,
  formatRate,
  formatTime,
};
