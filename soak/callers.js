'use strict';

// The application's callers of request() and stream(), and their ledger: each learns of its end once, and what was to run at most so
// often has run no more often, by what the workers wrote down (runs.js).

const { getEventListeners } = require('node:events');

const { idOf, isOfRequest, judgeRuns } = require('./runs');

const MODELS = ['llama-3-8b', 'llama-3-70b', 'mistral', 'qwen', undefined];
/** All that a request may end with while the server runs. */
const CODES = new Set([
  'TIMEOUT',
  'QUEUE_TIMEOUT',
  'QUEUE_FULL',
  'NO_WORKER',
  'WORKER_LOST',
  'WORKER_ERROR',
  'STREAM_OVERFLOW',
]);

class Callers {
  #server;
  #complain;
  #random;
  #runsFolder;
  #name;
  /** What is known of each request of this round, by id. */
  #entries = new Map();
  #open = 0;
  #next = 0;
  /** A signal that many share and that outlives them all. */
  #lasting = new AbortController();
  #stops = false;
  counts = { requests: 0, runs: 0, callbacks: 0 };

  /**
   * @param runsFolder where the workers write down which requests they run; without it somebody else judges that
   * @param name becomes a part of the ids, so that those of several servers differ
   */
  constructor({ server, complain, random, runsFolder, name = '' }) {
    this.#server = server;
    this.#complain = complain;
    this.#random = random;
    this.#runsFolder = runsFolder;
    this.#name = name;
  }

  /** How many have not learned of their end. */
  get open() {
    return this.#open;
  }

  /** Whether a worker may hold a request with that id: it was asked for in this round, or at another server. */
  knows(requestId) {
    return this.#entries.has(requestId) || (this.#name !== '' && isOfRequest(requestId));
  }

  #pick(list) {
    return list[Math.floor(this.#random() * list.length)];
  }

  #chance(probability) {
    return this.#random() < probability;
  }

  /** One caller asks for something. */
  ask() {
    const maxAttempts = this.#pick([1, 1, 3]);
    const requestId = idOf(this.#name, this.#next, maxAttempts);
    this.#next += 1;
    const entry = { maxAttempts, ends: 0 };
    this.#entries.set(requestId, entry);
    this.#open += 1;
    this.counts.requests += 1;
    const own = this.#chance(0.3) ? new AbortController() : undefined;
    const isAlive = (name) => () => {
      this.counts.callbacks += 1;
      if (entry.ends > 0) this.#complain(`${name} of ${requestId} ran after its end`);
    };
    const options = {
      requestId,
      maxAttempts,
      model: this.#pick(MODELS),
      category: this.#pick(['chat', undefined]),
      priority: this.#pick(['high', 'medium', 'low']),
      fairKey: this.#pick(['a', 'b', undefined]),
      affinity: this.#pick(['x', 'y', undefined]),
      signal: own?.signal ?? (this.#chance(0.5) ? this.#lasting.signal : undefined),
      timeoutMs: this.#pick([50, 500, 2_000]),
      queueTimeoutMs: this.#pick([0, 100, 500]),
      idleTimeoutMs: this.#pick([0, 0, 300]),
      onQueued: isAlive('onQueued'),
      onStarted: isAlive('onStarted'),
      onProgress: isAlive('onProgress'),
    };
    if (own !== undefined) setTimeout(() => own.abort(), this.#random() * 100).unref();
    this.#follow(requestId, entry, this.#call(options));
  }

  /** The end of a call, whichever of the two ways it is made. */
  #call(options) {
    const payload = { requestId: options.requestId };
    if (this.#chance(0.6)) return this.#server.request(payload, options);
    const stream = this.#server.stream(payload, options);
    // Some are read, some in part, some not at all.
    if (this.#chance(0.7)) this.#read(stream, this.#chance(0.1) ? 1 : Infinity);
    return stream.result;
  }

  async #read(stream, atMost) {
    let next = 0;
    try {
      for await (const chunk of stream) {
        if (chunk !== next) this.#complain(`${stream.requestId}: chunk ${chunk} came where ${next} was due`);
        next += 1;
        if (next >= atMost) return;
      }
    } catch {
      // Its result says the same.
    }
  }

  async #follow(requestId, entry, promise) {
    let how = 'completed';
    try {
      const data = await promise;
      if (data?.requestId !== requestId) this.#complain(`${requestId} got the result ${JSON.stringify(data)}`);
    } catch (error) {
      how = error.name === 'AbortError' ? error.name : error.code;
      if (!CODES.has(how) && how !== 'AbortError' && !this.#stops) this.#complain(`${requestId} ended with ${error}`);
    }
    entry.ends += 1;
    this.#open -= 1;
    this.counts[how] = (this.counts[how] ?? 0) + 1;
    if (entry.ends > 1) this.#complain(`${requestId} ended ${entry.ends} times`);
  }

  /** When no worker is left all must have ended, and nothing of them may be left. */
  settle() {
    if (this.#open > 0) this.#complain(`${this.#open} callers have not learned of their end`);
    const { size, bytes, byModel } = this.#server.getQueueInfo();
    if (size !== 0 || bytes !== 0 || Object.keys(byModel).length > 0) this.#complain(`${size} are left in the queue`);
    const listeners = getEventListeners(this.#lasting.signal, 'abort').length;
    if (listeners > 0) this.#complain(`${listeners} listeners are left on a signal`);
    if (this.#runsFolder !== undefined) {
      this.counts.runs += judgeRuns(this.#runsFolder, (id) => this.#entries.has(id), this.#complain);
    }
    this.#entries.clear();
  }

  /** To be called right before the server is stopped: what is under way then ends with that. */
  askBeforeStop() {
    for (let count = 0; count < 20; count += 1) this.ask();
    this.#stops = true;
  }
}

module.exports = { Callers };
