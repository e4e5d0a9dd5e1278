'use strict';

// What an upstream offers at the moment, and whether it is there: asked again and again.

const { pause } = require('../time/timers.js');

/** How soon an upstream is asked again that is away, or hasn't listed its models yet, in ms. */
const AWAY_MS = 1_000;
/** The least time between two questions, in ms. */
const LEAST_MS = 10;

class Watch {
  #upstream;
  #options;
  #stopping = new AbortController();
  #waking = new AbortController();
  /** What the upstream has said: its models, undefined while it never has, and how many requests it takes at once. */
  #models;
  #slots;
  #away = false;
  #complaint;
  /** Resolves when the upstream has been asked once. */
  askedOnce;

  /**
   * @param {import('./upstream.js').Upstream} upstream
   * @param {object} options
   * @param {string[]} [options.only] the ids of the models to offer; undefined: all
   * @param {number} [options.concurrency] undefined: what the upstream says
   * @param {number} options.refreshMs
   * @param {(capabilities: object) => void} options.onChange
   * @param {(away: boolean, error?: Error) => void} options.onAway
   * @param {(message: string) => void} options.warn
   */
  constructor(upstream, options) {
    this.#upstream = upstream;
    this.#options = options;
    const { promise, resolve } = deferred();
    this.askedOnce = promise;
    this.#run(resolve);
  }

  /** Whether the upstream refuses connections. */
  get away() {
    return this.#away;
  }

  /** What a worker registers with. */
  get capabilities() {
    const { only, concurrency } = this.#options;
    const offered = (this.#models ?? []).filter(({ id }) => only === undefined || only.includes(id));
    return { models: offered.map(modelInfo), maxConcurrentRequests: concurrency ?? this.#slots ?? 1 };
  }

  /** A request found that the upstream refuses connections, with this error. */
  refused(error) {
    if (this.#away) return;
    this.#setAway(true, error);
    this.#waking.abort();
  }

  stop() {
    this.#stopping.abort();
    this.#waking.abort();
  }

  async #run(afterFirst) {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#waking = new AbortController();
      await this.#look(signal);
      afterFirst();
      await this.#rest();
    }
  }

  async #rest() {
    const soon = this.#away || this.#models === undefined;
    const delayMs = Math.max(LEAST_MS, Math.min(this.#options.refreshMs, soon ? AWAY_MS : Infinity));
    if (!this.#stopping.signal.aborted) await pause(delayMs, this.#waking.signal);
    // Woken since it is away: it isn't back at once.
    if (this.#waking.signal.aborted && !this.#stopping.signal.aborted) await pause(AWAY_MS, this.#stopping.signal);
  }

  async #look(signal) {
    const before = JSON.stringify(this.capabilities);
    let models;
    try {
      models = await this.#upstream.models(signal);
    } catch (error) {
      if (!signal.aborted) this.#onFailure(error);
      return;
    }
    this.#complaint = undefined;
    this.#models = models;
    if (this.#options.concurrency === undefined && (this.#slots === undefined || this.#away))
      this.#slots = (await this.#upstream.totalSlots(signal)) ?? 1;
    if (signal.aborted) return;
    if (JSON.stringify(this.capabilities) !== before) this.#options.onChange(this.capabilities);
    this.#setAway(false);
  }

  #onFailure(error) {
    if (error.connected === false) {
      this.#setAway(true, error);
      return;
    }
    // One that answers, but not (yet) with models. Of a status below 500 it won't be otherwise for requests.
    if (error.status < 500) this.#setAway(false);
    const reason = error.status === undefined ? 'no whole answer' : error.message;
    if (reason !== this.#complaint) this.#options.warn(`The upstream does not list its models: ${reason}`);
    this.#complaint = reason;
  }

  #setAway(away, error) {
    if (away === this.#away) return;
    this.#away = away;
    this.#options.onAway(away, error);
  }
}

/** A model as workers register it. What the upstream does not say is 0. */
function modelInfo({ id, max_model_len: ofVllm, meta }) {
  const tokens =
    [ofVllm, meta?.n_ctx, meta?.n_ctx_train].find((value) => Number.isSafeInteger(value) && value > 0) ?? 0;
  return {
    modelId: id,
    displayName: id,
    maxContextTokens: tokens,
    maxOutputTokens: tokens,
    supportsStreaming: true,
  };
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => Object.assign(made, { resolve }));
  return made;
}

module.exports = { Watch };
