'use strict';

// A worker whose work is done by an OpenAI-compatible endpoint.

const { Worker } = require('../worker');
const { Upstream } = require('./upstream.js');
const { Watch } = require('./watch.js');

class Bridge {
  #worker;
  #upstream;
  #watchOptions;
  #watch;
  #say;
  #isConnected = false;

  /**
   * @param {object} options
   * @param {URL} options.upstream
   * @param {string} [options.upstreamKey]
   * @param {string[]} [options.models] the ids of the models to offer; undefined: all
   * @param {number} [options.concurrency] undefined: what the upstream says
   * @param {number} options.refreshMs how often the upstream is asked for its models
   * @param {object} options.worker further options of the Worker: `url`, `authToken`, `workerName`, `logger` …
   * @param {(message: string) => void} options.say called with what happens
   * @param {(message: string) => void} options.warn called with what goes wrong
   * @throws {TypeError} as the Worker's constructor
   */
  constructor({ upstream, upstreamKey, models, concurrency, refreshMs, worker, say, warn }) {
    this.#say = say;
    this.#upstream = new Upstream(upstream, upstreamKey);
    this.#watchOptions = {
      only: models,
      concurrency,
      refreshMs,
      warn,
      onChange: (capabilities) => this.#update(capabilities, warn),
      onAway: (away, error) => this.#tellStatus(away, error),
    };
    this.#worker = new Worker({
      ...worker,
      capabilities: async () => {
        await this.#watch.askedOnce;
        return this.#watch.capabilities;
      },
      handler: (payload, { signal }) => this.#handle(payload, signal),
    });
    this.#worker.on('state', (state, details) => this.#onState(state, details));
  }

  /** As the Worker's `run()`. */
  async run() {
    this.#watch = new Watch(this.#upstream, this.#watchOptions);
    try {
      await this.#worker.run();
    } finally {
      this.#watch.stop();
    }
  }

  async #handle(payload, signal) {
    try {
      return await this.#upstream.call(payload, signal);
    } catch (error) {
      if (error.code === 'upstream_refused') this.#watch.refused(error.cause);
      throw error;
    }
  }

  #update(capabilities, warn) {
    this.#say(describe(capabilities));
    this.#worker.update(capabilities).catch((error) => warn(error.message));
  }

  #onState(state, { error, attempt }) {
    if (state === 'connected') {
      this.#isConnected = true;
      this.#say(`Connected as ${this.#worker.workerId}`);
      // A session begins without the mark.
      if (this.#watch.away) this.#sendStatus('draining');
    } else if (state === 'connecting' && (this.#isConnected || attempt === 2)) {
      this.#isConnected = false;
      this.#say(`Not connected, trying again${error === undefined ? '' : `: ${error.message}`}`);
    } else if (state === 'draining') {
      this.#say('Draining');
    }
  }

  #tellStatus(away, error) {
    const why = error?.code ?? error?.message;
    this.#say(away ? `The upstream refuses connections (${why}): draining until it is back` : 'The upstream is back');
    if (this.#worker.state === 'connected') this.#sendStatus(away ? 'draining' : 'available');
  }

  /** A worker that leaves stays draining. */
  #sendStatus(status) {
    this.#worker.send({ type: 'worker_status', status, reason: 'upstream' });
  }
}

function describe({ models, maxConcurrentRequests }) {
  const names = models.map(({ modelId }) => modelId).join(', ') || 'none';
  return `Models: ${names}. At once: ${maxConcurrentRequests}`;
}

module.exports = { Bridge };
