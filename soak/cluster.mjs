// The soak of several servers that are one fleet: `npm run soak -- --nodes 3`.
//
// Each server has workers and callers of its own, and the same ledger as one that is alone; requests go to the workers of all.
// In each round a server's process is killed and started again, or stopped for shorter or longer than the others wait for it,
// and the broker is restarted. When a round ends nobody is connected, every caller has its end, no request has run more often
// than it may, nothing is left, and the servers that live see each other.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Child } from './processes.mjs';
import { judgeDelivery, judgeSizes, mib } from './verdict.mjs';

const require = createRequire(import.meta.url);
const { startNatsIfInstalled } = require('../__test__/support/broker-process.js');
const { randomFrom } = require('../__test__/support/random.js');
const { CLUSTER_TIMES } = require('./broker.js');
const { isOfRequest, judgeRuns } = require('./runs.js');

const ROUND_MS = 15_000;
/** In which servers that were stopped or killed must have found each other again. */
const MEET_MS = 20_000;
const MAX_STOP_MS = 4_000;
const MAX_EXIT_MS = 4_000;

/** One of the servers, in one life after another. */
class Node {
  #settings;
  #lives = 0;
  #peers;
  child = null;
  /** Memory after each round, of this life. */
  sizes = [];
  port = 0;

  constructor(nodeId, settings, peers) {
    this.nodeId = nodeId;
    this.#settings = settings;
    this.#peers = peers;
  }

  async start() {
    const { seed, workers, runsFolder, natsPort, onDeath } = this.#settings;
    this.#lives += 1;
    this.sizes = [];
    const { nodeId, port } = this;
    const options = { nodeId, life: `${nodeId}.${this.#lives}.`, port, natsPort };
    const args = [seed + this.#lives, workers, runsFolder, JSON.stringify(options)].map(String);
    const child = new Child('application.js', args, { execArgv: ['--expose-gc'] });
    this.child = child;
    child.onMessage = (message) => {
      for (const peer of this.#peers) peer.child?.pass(message);
    };
    child.exit.then(({ code, signal }) => {
      if (this.child === child) onDeath(`${nodeId} died (${code ?? signal})`);
    });
    ({ port: this.port } = await child.ask('start'));
  }

  /** Gone as if its machine had lost power. */
  async kill() {
    const { child } = this;
    this.child = null;
    await child.kill();
  }
}

/** @returns {Promise<number>} the exit code */
export async function soakCluster({ minutes, workers, seed, nodes: count }) {
  const random = randomFrom(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const violations = [];
  const runsFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'soak-'));
  const broker = await startNatsIfInstalled();
  const nodes = [];
  process.on('exit', () => {
    fs.rmSync(runsFolder, { recursive: true, force: true });
    broker?.close();
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
  const settings = {
    seed,
    workers,
    runsFolder,
    natsPort: broker?.port,
    onDeath: (what) => violations.push(what),
  };
  for (let at = 0; at < count; at += 1) nodes.push(new Node(`n${at + 1}`, settings, nodes));
  console.log(
    `soak: ${minutes} min, ${count} nodes over ${broker === null ? 'IPC, since there is no nats-server' : 'NATS'}, ` +
      `${workers} workers, seed ${seed}`,
  );
  await Promise.all(nodes.map((node) => node.start()));

  const faults = {
    'killed a server': async () => {
      const node = pick(nodes);
      await node.kill();
      await sleep(random() * 2 * CLUSTER_TIMES.timeoutMs);
      await node.start();
      node.child.ask('noise');
    },
    'stopped a server for short': () => freeze(pick(nodes), 0.5 * CLUSTER_TIMES.timeoutMs),
    'stopped a server for long': () => freeze(pick(nodes), 2 * CLUSTER_TIMES.timeoutMs),
    ...(broker !== null && {
      'restarted the broker': async () => {
        await broker.kill();
        await sleep(random() * 0.5 * CLUSTER_TIMES.timeoutMs);
        await broker.start();
      },
      'kept the broker away': async () => {
        await broker.kill();
        await sleep(2 * CLUSTER_TIMES.timeoutMs);
        await broker.start();
      },
    }),
  };
  async function freeze({ child }, ms) {
    child.freeze();
    await sleep(ms);
    child.thaw();
  }

  /** The servers see all of them, and nothing under way; what is otherwise after a while. */
  async function untilQuiet() {
    const end = performance.now() + MEET_MS;
    for (;;) {
      const seen = await Promise.all(nodes.map(({ child }) => child.ask('fleet')));
      const isQuiet = seen.every(
        (fleet) =>
          fleet.length === count && fleet.every(({ busy, waiting, workers: left }) => busy + waiting + left === 0),
      );
      if (isQuiet) return [];
      if (performance.now() > end) return [`after ${MEET_MS / 1_000} s the servers see ${JSON.stringify(seen)}`];
      await sleep(100);
    }
  }

  function startFleets(generation) {
    const share = Math.floor(workers / count);
    return nodes.map(({ port }, place) => {
      const options = {
        port,
        host: '127.0.0.1',
        seed: seed + generation * 17 + place,
        first: place * share,
        count: share,
        workers,
        visitors: place === 0,
        runsFolder,
      };
      return new Child('fleet.js', [JSON.stringify(options)]);
    });
  }

  const happened = new Map();
  const totals = { requests: 0, runs: 0 };
  const outcomes = new Map();
  let last = [];

  async function round(number, ms) {
    const fleets = startFleets(number);
    const end = performance.now() + ms;
    for (const child of [...nodes.map((node) => node.child), ...fleets]) child.ask('noise');
    while (performance.now() < end - ms * 0.3) {
      await sleep(ms * 0.1);
      const name = pick(Object.keys(faults));
      happened.set(name, (happened.get(name) ?? 0) + 1);
      await faults[name]();
    }
    await sleep(Math.max(0, end - performance.now()));
    for (const report of await Promise.all(fleets.map((fleet) => fleet.ask('quiet'))))
      violations.push(...report.violations);
    await Promise.all(fleets.map((fleet) => fleet.kill()));
    last = await Promise.all(nodes.map(({ child }) => child.ask('quiet')));
    for (const [at, report] of last.entries()) {
      violations.push(
        ...report.violations.map((what) => `${nodes[at].nodeId}: ${what}`),
        ...judgeDelivery(report.delivery),
      );
    }
    violations.push(...(await untilQuiet()));
    totals.runs += judgeRuns(runsFolder, isOfRequest, (what) => violations.push(what));
  }

  const begun = performance.now();
  const rounds = Math.max(1, Math.round((minutes * 60_000) / ROUND_MS));
  for (let number = 0; number < rounds && violations.length === 0; number += 1) {
    const left = minutes * 60_000 - (performance.now() - begun);
    await round(number, Math.max(4_000, left / (rounds - number) - 2_000));
    for (const node of nodes) {
      node.sizes.push(await node.child.ask('measure'));
      violations.push(...judgeSizes(node.sizes).map((what) => `${node.nodeId}: ${what}`));
    }
    const asked = last.map(({ callers }) => callers.requests).join(', ');
    const sizes = nodes.map((node) => mib(node.sizes.at(-1).rss)).join(', ');
    console.log(
      `round ${number + 1}: requests of the servers that live ${asked}; ${totals.runs} runs; resident ${sizes}; ` +
        `${Math.round((performance.now() - begun) / 1_000)} s`,
    );
  }
  for (const { callers } of last) {
    for (const [name, times] of Object.entries(callers)) outcomes.set(name, (outcomes.get(name) ?? 0) + times);
  }
  if (violations.length === 0) await stopAll();
  else await Promise.all(nodes.filter(({ child }) => child !== null).map((node) => node.kill()));
  await broker?.close();

  async function stopAll() {
    for (const node of nodes) {
      const { child } = node;
      node.child = null;
      const stopped = await child.ask('stop');
      violations.push(...stopped.violations);
      if (stopped.ms > MAX_STOP_MS) violations.push(`stop() of ${node.nodeId} took ${Math.round(stopped.ms)} ms`);
      const exit = await Promise.race([child.exit, sleep(MAX_EXIT_MS, null, { ref: false })]);
      if (exit?.code !== 0) violations.push(`${node.nodeId} did not end by itself after stop()`);
      await child.kill();
    }
  }

  const listed = (map) => [...map].map(([name, times]) => `${name} ${times}`).join(', ');
  console.log(`\nfaults        ${listed(happened)}`);
  console.log(`callers       of the last lives: ${listed(outcomes)}`);
  if (violations.length > 0) {
    console.error(
      `\nsoak: ${violations.length} violations; seed ${seed}, ${workers} workers, ${count} nodes, ${minutes} min`,
    );
    for (const violation of violations.slice(0, 40)) console.error(`- ${violation}`);
    return 1;
  }
  console.log(`\nsoak: all held; ${((performance.now() - begun) / 60_000).toFixed(1)} min, seed ${seed}`);
  return 0;
}
