// One run of a row, its checks, and the figures that come of it; and what many runs amount to.

import assert from 'node:assert/strict';

import { Load, Server } from './processes.mjs';

/** Everything that may be shown, in the order in which it is, with how it is written and what it is called. */
export const FIGURES = {
  rate: { title: 'per second', digits: 3 },
  cpu: { title: 'server CPU each', unit: 'µs', digits: 3 },
  js: { title: 'JS thread each', unit: 'µs', digits: 3 },
  submit: { title: 'submit', unit: 'µs', digits: 3 },
  release: { title: 'release, and the next begins', unit: 'µs', digits: 3 },
  p50: { title: 'p50', unit: 'µs', digits: 3 },
  p99: { title: 'p99', unit: 'µs', digits: 3 },
  p999: { title: 'p99.9', unit: 'µs', digits: 3 },
  delay: { title: 'mean delay', unit: 'ms', digits: 3 },
  loopDelay: { title: 'longest event loop delay', unit: 'ms', digits: 2 },
  peak: { title: 'peak memory', unit: 'MB', digits: 3 },
  memory: { title: 'memory each', unit: 'KiB', digits: 3 },
  unhealthy: { title: 'found unhealthy', digits: 3 },
  throttled: { title: 'periods throttled', digits: 3 },
  // Only among the figures, to see that the load generator is no limit.
  load: { title: 'load generator CPU each', unit: 'µs', digits: 3, hidden: true },
};

/** Runs a row once, in fresh processes. */
export async function runOnce(row, { implementation, quick, confinement }) {
  const params = { ...(quick ? row.quick : row.full), ...row.differs?.[implementation] };
  const server = new Server({ file: row.file, name: row.name, implementation, params, confinement });
  let load;
  try {
    const port = await server.listening();
    load = new Load({ port, workers: params.workers, seed: 1, ...row.load(params, implementation) });
    await load.ready();
    await server.begin();
    load.say('go');
    const throttledBefore = confinement?.throttled?.();
    const run = { params, load: await load.done(), server: await server.end() };
    if (throttledBefore !== undefined) run.throttled = confinement.throttled() - throttledBefore;
    check(row, run);
    return figures(row, run);
  } finally {
    await load?.quit();
    await server.quit();
  }
}

/** That the work was done. Never how fast. */
function check(row, run) {
  const { load, params } = run;
  const always = [
    ['connections lost', load.lost, 0],
    ['answers out of place', load.unexpected, 0],
    ['connections open', load.open, params.workers],
  ];
  for (const [what, actual, expected] of [...always, ...row.counts(run)]) {
    assert.equal(actual, expected, `${row.name}: ${what}: ${actual} instead of ${expected}`);
  }
}

function figures(row, run) {
  const { usage } = run.server;
  const messages = row.messages(run);
  const latency = row.latency?.(run);
  const all = {
    rate: row.seconds && messages / row.seconds(run),
    cpu: usage.cpuMicros / messages,
    js: usage.jsMicros === undefined ? undefined : usage.jsMicros / messages,
    submit: row.submit?.(run),
    release: row.release?.(run),
    p50: latency?.p50,
    p99: latency?.p99,
    p999: latency?.p999,
    delay: row.delay?.(run),
    loopDelay: usage.loopDelayMs,
    peak: usage.peakRss / 1e6,
    memory: row.memory && row.memory(run) / 1024,
    unhealthy: row.unhealthy?.(run),
    throttled: run.throttled,
    load: run.load.cpuMicros && run.load.cpuMicros / messages,
  };
  const wanted = new Set([
    ...Object.keys(row.goals),
    ...(row.shows ?? []),
    ...(run.throttled === undefined ? [] : ['throttled']),
    'load',
  ]);
  return Object.fromEntries(
    Object.keys(FIGURES)
      .filter((name) => wanted.has(name))
      .map((name) => [name, all[name]]),
  );
}

const sorted = (values) => values.toSorted((a, b) => a - b);

function median(values) {
  const order = sorted(values);
  const middle = order.length >> 1;
  return order.length % 2 === 1 ? order[middle] : (order[middle - 1] + order[middle]) / 2;
}

/** Of several runs: median, minimum and maximum of each figure. One that the platform doesn't know is left out. */
function summary(runs) {
  const names = Object.keys(runs[0]).filter((name) => runs[0][name] !== undefined);
  return Object.fromEntries(
    names.map((name) => {
      const values = runs.map((run) => run[name]);
      return [name, { median: median(values), min: Math.min(...values), max: Math.max(...values) }];
    }),
  );
}

/** Runs a row so often on either side, in turn, and compares. */
export async function runRow(row, { runs, quick, confinement, onRun }) {
  const peer = row.peer ?? 'standin';
  const of = { native: [], [peer]: [] };
  for (let round = 0; round < runs; round += 1) {
    for (const implementation of ['native', peer]) {
      const run = await runOnce(row, { implementation, quick, confinement });
      of[implementation].push(run);
      onRun?.({ row, round, implementation, run });
    }
  }
  const [ours, theirs] = [summary(of.native), summary(of[peer])];
  const figures = Object.keys(ours).map((name) => compare(name, ours[name], theirs[name], row.goals[name]));
  return { name: row.name, title: row.title, unit: row.unit ?? 'messages', peer, group: row.group, figures };
}

function compare(name, ours, peer, goal) {
  const ratio = peer.median === 0 ? undefined : ours.median / peer.median;
  const met = goal && meets(goal, ours.median, ratio);
  return { name, ours, peer, ratio, goal, met };
}

function meets({ atLeast, atMost, absolute }, value, ratio) {
  return (
    (atLeast === undefined || ratio >= atLeast) &&
    (atMost === undefined || ratio <= atMost) &&
    (absolute === undefined || value <= absolute)
  );
}
