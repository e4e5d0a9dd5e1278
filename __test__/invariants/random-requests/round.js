'use strict';

const { getEventListeners } = require('node:events');
const { createServer, until } = require('../../support/server.js');
const { Choices } = require('../../support/random.js');
const { Ledger } = require('./ledger.js');
const { MODELS, ScriptedWorker } = require('./scripted-worker.js');

const STEPS = 20;
const WORKERS = 3;
const MAX_WAITING = 12;
const CROWD = 40;

const turn = () => new Promise((resolve) => setImmediate(resolve));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const outcomeOf = (promise) =>
  promise.then(
    () => 'completed',
    (error) => error.code?.toString().replace(/^20$/, 'AbortError') ?? error.name,
  );

/** One round: a server, three workers, callers, and at each step something happens to one of them. */
class Round {
  #choices;
  #ledger = new Ledger();
  #signals = [];
  #streams = [];
  #server;
  #log;
  #workers;
  #name;

  constructor(seed) {
    this.#name = seed;
    this.#choices = new Choices(seed);
    ({ server: this.#server, log: this.#log } = createServer({
      queue: { maxSize: MAX_WAITING, timeoutMs: 60 },
      limits: { cancelGraceMs: this.#choices.pick([0, 15, 40]), resumeGraceMs: this.#choices.pick([0, 10, 40]) },
    }));
    this.#workers = Array.from({ length: WORKERS }, (_, n) => new ScriptedWorker(`w${n}`, this.#ledger, this.#choices));
  }

  async run() {
    await this.#server.start();
    for (const worker of this.#workers) worker.connect(this.#server.port, false);
    await until(() => this.#workers.every(({ isConnected }) => isConnected));
    for (let step = 0; step < STEPS; step += 1) {
      await this.#step();
      if (this.#choices.chance(0.5)) await turn();
      else await pause(this.#choices.below(4));
    }
    await this.#settle();
    this.#ledger.violations.forEach((violation) => this.#fail(violation));
    return this.#ledger;
  }

  #fail(what) {
    throw new Error(`round ${this.#name}: ${what}`);
  }

  #ask() {
    const choices = this.#choices;
    const requestId = `r${this.#ledger.ids.length}`;
    const maxAttempts = choices.pick([1, 1, 3]);
    const controller = choices.chance(0.6) ? this.#controller() : undefined;
    this.#ledger.add(requestId, maxAttempts);
    const options = {
      requestId,
      maxAttempts,
      signal: controller?.signal,
      model: choices.pick([undefined, ...MODELS]),
      priority: choices.pick([undefined, 'high', 'low']),
      fairKey: choices.pick([undefined, 'x', 'y']),
      affinity: choices.pick([undefined, 'z']),
      timeoutMs: choices.pick([5, 30, 200, 200]),
      queueTimeoutMs: choices.pick([0, 10, undefined, Infinity]),
      idleTimeoutMs: choices.pick([undefined, undefined, 15]),
      // Callbacks that call the server while it is in the midst of something.
      onStarted: choices.chance(0.05) ? () => controller?.abort() : undefined,
      onQueued: choices.chance(0.05) ? () => this.#abortOne() : undefined,
      onProgress: choices.chance(0.1) ? () => this.#abortOne() : undefined,
    };
    let end;
    if (choices.chance(0.5)) {
      end = this.#server.request({ requestId }, options);
    } else {
      const stream = this.#server.stream({ requestId }, options);
      this.#streams.push(stream);
      end = stream.result;
      if (choices.chance(0.5)) this.#read(stream, choices.chance(0.2));
    }
    // Each time that it is settled, were it more often than once.
    outcomeOf(end).then((how) => this.#ledger.end(requestId, how));
  }

  async #read(stream, leaves) {
    try {
      // eslint-disable-next-line no-unused-vars -- it is the reading that matters.
      for await (const chunk of stream) if (leaves) break;
    } catch {
      // Its result says the same.
    }
  }

  /** Shared by several, now and then. */
  #controller() {
    if (this.#signals.length > 0 && this.#choices.chance(0.3)) return this.#choices.pick(this.#signals);
    const controller = new AbortController();
    this.#signals.push(controller);
    return controller;
  }

  #abortOne() {
    if (this.#signals.length > 0) this.#choices.pick(this.#signals).abort();
  }

  async #step() {
    const choices = this.#choices;
    const server = this.#server;
    for (let count = choices.below(4); count > 0; count -= 1) this.#ask();
    for (const worker of this.#workers) if (choices.chance(0.5)) worker.act();
    const { id } = choices.pick(this.#workers);
    const fate = choices.random();
    if (fate < 0.15) this.#abortOne();
    else if (fate < 0.2) choices.pick(this.#streams)?.cancel();
    else if (fate < 0.26) server.disconnectWorker(id, { code: choices.pick([1000, 4001]) });
    else if (fate < 0.36) server.setWorkerStatus(id, choices.pick(['draining', 'available']));
    else if (fate < 0.4) this.#trackOne(id);
    else if (fate < 0.42) server.drain({ timeoutMs: choices.pick([0, 5]) }).catch(() => {});
    else if (fate < 0.45) await this.#restart();
    // More at once than may wait, however fast the workers are.
    else if (fate < 0.46) for (let count = 0; count < CROWD; count += 1) this.#ask();
  }

  /** The old way, beside the new one: ids that are under way are refused, others are held for as long as the application says. */
  #trackOne(workerId) {
    const requestId = this.#choices.pick([...this.#ledger.ids, 'own']);
    this.#server.trackRequest(workerId, requestId);
    this.#server.releaseRequest(requestId);
  }

  async #restart() {
    const stopped = this.#server.stop();
    this.#ask();
    await stopped;
    await this.#server.start();
    for (const worker of this.#workers) worker.connect(this.#server.port, this.#choices.chance(0.5));
  }

  /** All become honest; then nothing may be left of anything. */
  async #settle() {
    const server = this.#server;
    for (const worker of this.#workers) worker.makeUp();
    for (const { id } of this.#workers) server.setWorkerStatus(id, 'available');
    if (server.state === 'draining') await this.#restart();
    await until(() => this.#ledger.isSettled);
    await until(() => this.#reconnected());
    // What they hold, they have said; what the server holds is the same, and that is nothing.
    await until(() => server.getWorkerInfo().every(({ activeRequests }) => activeRequests === 0));
    const infos = server.getWorkerInfo();
    for (const { id, pendingRequestIds } of infos) if (pendingRequestIds.size > 0) this.#fail(`${id} has pending ids`);
    const { size, bytes, oldestMs, byModel } = server.getQueueInfo();
    expect({ size, bytes, oldestMs, byModel: { ...byModel } }).toEqual({ size: 0, bytes: 0, oldestMs: 0, byModel: {} });
    for (const { signal } of this.#signals) {
      if (getEventListeners(signal, 'abort').length > 0) this.#fail('a listener is left on a signal');
    }
    await this.#useEachIdAgain();
    expect(this.#log.all('Worker WebSocket error')).toEqual([]);
    expect(this.#log.all('Error in request callback')).toEqual([]);
  }

  #reconnected() {
    for (const worker of this.#workers) {
      if (worker.ws === null) {
        worker.holds.clear();
        worker.connect(this.#server.port, false);
      }
    }
    const isThere = ({ id, sessionId }) =>
      this.#server.getWorkerInfo().some((info) => info.id === id && info.sessionId === sessionId);
    for (const worker of this.#workers) if (worker.isConnected && worker.holds.size > 0) worker.makeUp();
    return this.#workers.every((worker) => worker.isConnected && isThere(worker));
  }

  /** No id stays in use. */
  async #useEachIdAgain() {
    const { ids } = this.#ledger;
    this.#ledger.close();
    const server = this.#server;
    // Twelve wait at most.
    for (let at = 0; at < ids.length; at += 10) {
      const again = ids
        .slice(at, at + 10)
        .map((requestId) =>
          outcomeOf(server.request({}, { requestId, queueTimeoutMs: Infinity, timeoutMs: Infinity })),
        );
      const outcomes = new Set(await Promise.all(again));
      if (outcomes.size !== 1 || !outcomes.has('completed')) this.#fail(`used again: ${[...outcomes]}`);
    }
    await this.#server.stop();
  }
}

module.exports = { Round };
