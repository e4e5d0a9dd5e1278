'use strict';

// I9 every request ends exactly once and its slot is free again.

const { getEventListeners } = require('node:events');
const WebSocket = require('ws');
const { createServer, until } = require('../support/server');
const { onCleanup } = require('../support/cleanup');
const { randomFrom } = require('../support/random');
const { capabilitiesOf, registrationOf } = require('../support/worker');

const ROUNDS = 200;
const STEPS = 20;
const WORKERS = 3;
const MAX_WAITING = 12;
const CROWD = 40;
const MODELS = ['a', 'b'];
const CODES = ['TIMEOUT', 'QUEUE_TIMEOUT', 'QUEUE_FULL', 'NO_WORKER', 'WORKER_LOST', 'WORKER_ERROR'];
const ENDS = new Set([...CODES, 'STREAM_OVERFLOW', 'SERVER_STOPPING', 'AbortError', 'completed']);

const turn = () => new Promise((resolve) => setImmediate(resolve));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The same choices for the same seed. */
class Choices {
  constructor(seed) {
    this.random = randomFrom(seed);
  }

  chance(probability) {
    return this.random() < probability;
  }

  below(count) {
    return Math.floor(this.random() * count);
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}

/** A worker that does all that a worker may do with a request, and some that it may not. It lives on over many sockets. */
class ScriptedWorker {
  #ledger;
  #choices;
  #port = 0;
  ws = null;
  isHonest = false;
  sessionId = null;
  /** What it works on, by id: { requestId, attempt, isRun }. */
  holds = new Map();

  constructor(id, ledger, choices) {
    this.id = id;
    this.#ledger = ledger;
    this.#choices = choices;
  }

  get isConnected() {
    return this.ws !== null && this.sessionId !== null;
  }

  /** Connects anew, beside the old socket if that still stands; `resumes`: it goes on with what it has. */
  connect(port, resumes) {
    this.#port = port;
    const held = [...this.holds.values()];
    const { sessionId } = this;
    if (!resumes) this.holds.clear();
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
    onCleanup(() => ws.terminate());
    this.ws = ws;
    this.sessionId = null;
    ws.on('error', () => {});
    ws.on('open', () => {
      const resume = resumes &&
        sessionId !== null && {
          resume: {
            sessionId,
            requests: held.map(({ requestId, attempt }) => ({ requestId, attempt, done: false })),
          },
        };
      this.#say(ws, {
        ...registrationOf(this.id, {
          capabilities: capabilitiesOf(MODELS, 1 + this.#choices.below(3)),
          features: this.#choices.chance(0.7) || resumes ? ['request', 'resume'] : ['request'],
        }),
        ...resume,
      });
    });
    ws.on('message', (data) => {
      if (this.ws === ws) this.#take(JSON.parse(data));
    });
    ws.on('close', () => {
      if (this.ws === ws) this.ws = null;
    });
  }

  #say(ws, message) {
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
  }

  say(message) {
    if (this.ws !== null) this.#say(this.ws, message);
  }

  #take(message) {
    switch (message.type) {
      case 'worker_registration_ack':
        this.sessionId = message.sessionId;
        for (const requestId of message.dropped ?? []) this.holds.delete(requestId);
        break;
      case 'request':
        this.#begin(message);
        break;
      case 'request_cancel': {
        const held = this.holds.get(message.requestId);
        const isMeant = held !== undefined && (message.attempt ?? held.attempt) === held.attempt;
        // One that is not honest may never confirm: what the server waits for then is its grace.
        if (isMeant && (this.isHonest || this.#choices.chance(0.7))) this.#end(held, 'error', { error: {} });
        break;
      }
    }
  }

  #begin({ requestId, attempt, stream }) {
    const held = { requestId, attempt, stream, seq: 0, isRun: false };
    this.holds.set(requestId, held);
    if (this.isHonest) {
      this.run(held);
      this.#end(held, 'result', { data: attempt });
      return;
    }
    const fate = this.#choices.random();
    if (fate < 0.15) {
      this.holds.delete(requestId);
      this.#about(held, 'reject', { reason: 'busy' });
      return;
    }
    if (fate < 0.2) return;
    this.run(held);
    if (fate < 0.5) this.#end(held, 'result', { data: attempt });
    else if (fate < 0.6) setTimeout(() => this.step(held), this.#choices.below(8));
  }

  /** From here on the request runs. */
  run(held) {
    if (held.isRun) return;
    held.isRun = true;
    this.#ledger.ran(held.requestId);
    this.#about(held, 'ack');
  }

  #about({ requestId, attempt }, type, more = {}) {
    this.say({ type: `request_${type}`, requestId, attempt, ...more });
  }

  #end(held, type, more) {
    this.holds.delete(held.requestId);
    this.#about(held, type, more);
    // Twice, now and then: that changes nothing.
    if (this.#choices.chance(0.1)) this.#about(held, type, more);
  }

  /** Something happens to a request that it has. */
  step(held) {
    if (held === undefined || this.holds.get(held.requestId) !== held) return;
    this.run(held);
    const fate = this.#choices.random();
    if (fate < 0.3) this.#end(held, 'result', { data: held.attempt });
    else if (fate < 0.45) this.#end(held, 'error', { error: { message: 'no', retryable: this.#choices.chance(0.6) } });
    else if (fate < 0.6) this.#about(held, 'progress', { data: fate });
    else if (fate < 0.85) {
      this.#about(held, 'chunk', { seq: held.seq, data: held.seq });
      held.seq += 1;
    } else if (fate < 0.92) {
      this.#about(held, 'chunk', { seq: held.seq + 3, data: 'too far' });
    } else {
      // It has lost it, and names others only.
      this.holds.delete(held.requestId);
      this.beat();
      this.beat();
    }
  }

  beat() {
    const active = [...this.holds.keys()];
    this.say({ type: 'heartbeat', workerId: this.id, timestamp: new Date().toISOString(), active });
  }

  /** One thing that it does of its own accord. */
  act() {
    const choices = this.#choices;
    const fate = choices.random();
    if (this.ws === null) {
      this.connect(this.#port, choices.chance(0.5));
    } else if (fate < 0.5) {
      this.step(choices.pick([...this.holds.values()]));
    } else if (fate < 0.6) {
      this.beat();
    } else if (fate < 0.7) {
      this.say({ type: 'worker_status', status: choices.pick(['draining', 'available', 'asleep']) });
    } else if (fate < 0.78) {
      this.say({
        type: 'worker_update',
        capabilities: capabilitiesOf(choices.pick([MODELS, ['a']]), choices.below(4)),
      });
    } else if (fate < 0.84) {
      this.ws.terminate();
    } else if (fate < 0.88) {
      this.ws.close(choices.pick([1000, 1001, 4000]));
    } else if (fate < 0.95) {
      // While the old socket still stands.
      this.connect(this.#port, choices.chance(0.6));
    } else {
      // Another worker's, most likely; one that is on its way here counts as answered.
      this.say({ type: 'request_result', requestId: this.#ledger.pickToForge(choices), attempt: 1, data: 'forged' });
    }
  }

  /** From now on it takes back all that it did, and answers all that it has. */
  makeUp() {
    this.isHonest = true;
    for (const held of [...this.holds.values()]) {
      this.run(held);
      this.#end(held, 'result', { data: held.attempt });
    }
    this.say({ type: 'worker_status', status: 'available' });
    this.say({ type: 'worker_update', capabilities: capabilitiesOf(MODELS, 4) });
  }
}

/** How often each request has run, and how its caller learned of the end. */
class Ledger {
  ids = [];
  #entries = new Map();
  #forged = new Set();
  #isClosed = false;

  add(requestId, maxAttempts) {
    this.ids.push(requestId);
    this.#entries.set(requestId, { maxAttempts, runs: 0, ends: [] });
  }

  /** The id of a request that any worker may answer. */
  pickToForge(choices) {
    const requestId = choices.pick([...this.ids, 'nobody’s']);
    this.#forged.add(requestId);
    return requestId;
  }

  /** What runs from now on is not counted. */
  close() {
    this.#isClosed = true;
  }

  ran(requestId) {
    if (this.#isClosed) return;
    const entry = this.#entries.get(requestId);
    if (entry !== undefined) entry.runs += 1;
  }

  end(requestId, how) {
    this.#entries.get(requestId).ends.push(how);
  }

  get isSettled() {
    return [...this.#entries.values()].every(({ ends }) => ends.length > 0);
  }

  get violations() {
    const found = [];
    for (const [requestId, { maxAttempts, runs, ends }] of this.#entries) {
      if (ends.length !== 1 || !ENDS.has(ends[0])) found.push(`${requestId} ended with ${JSON.stringify(ends)}`);
      if (runs > maxAttempts) found.push(`${requestId} ran ${runs} times, at most ${maxAttempts} were allowed`);
      if (ends[0] === 'completed' && runs === 0 && !this.#forged.has(requestId))
        found.push(`${requestId} completed and never ran`);
    }
    return found;
  }

  count(into) {
    for (const { ends } of this.#entries.values()) into[ends[0]] = (into[ends[0]] ?? 0) + 1;
  }
}

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

test('I9: over 200 rounds of kills, replacements, cancels, timeouts, drains and stops at random each request ends once', async () => {
  const counts = {};
  for (let seed = 0; seed < ROUNDS; seed += 1) {
    const ledger = await new Round(seed).run();
    ledger.count(counts);
  }
  // All of it has happened.
  for (const how of [...CODES, 'SERVER_STOPPING', 'AbortError', 'completed'])
    expect([how, counts[how] > 0]).toEqual([how, true]);
}, 120_000);
