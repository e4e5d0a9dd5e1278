'use strict';

// What the demo shows: every document is summarised by some worker, token by token, and one of the workers is killed
// while it has requests. What it had goes to others, and nothing is lost.

/** How many requests are submitted at a time; the rest isn't worth the queue's room. */
const MOST_SUBMITTED = 32;
/** How often a document is sent at most, however many workers are lost with it. */
const MOST_SENDINGS = 4;
/** A worker is killed only when it has shown this many tokens. */
const TOKENS_BEFORE_KILL = 12;

/**
 * @typedef {object} Job
 * @property {string} name
 * @property {number} words how many the document has
 * @property {string[]} workers to which it was sent, in order
 * @property {string} summary what has come of it
 * @property {number} tokens how many have come
 * @property {number} [total] how many will
 * @property {boolean} waited
 * @property {boolean} done
 * @property {string} [error] why there is no summary
 */

class Show {
  #server;
  #kill;
  #display;
  #signal;
  #unsent;
  #shown = new Map();

  /** @type {Job[]} */
  jobs;
  /** Who was killed, and which jobs were sent again because of it: `{ name, moved }`. */
  victim = null;

  /**
   * @param {object} options
   * @param {{ name: string, text: string, words: number }[]} options.documents
   * @param {(worker: string) => void} options.kill
   * @param {{ changed(job: Job): void, killed(worker: string, jobs: Job[]): void }} options.display
   * @param {AbortSignal} options.signal ends it
   */
  constructor({ server, documents, kill, display, signal }) {
    this.#server = server;
    this.#kill = kill;
    this.#display = display;
    this.#signal = signal;
    this.#unsent = documents.length;
    this.jobs = documents.map(({ name, text, words }) => ({
      name,
      text,
      words,
      workers: [],
      summary: '',
      tokens: 0,
      total: undefined,
      waited: false,
      done: false,
    }));
  }

  /** Resolves when each job has ended. */
  async run() {
    const waiting = [...this.jobs];
    const submit = async () => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await this.#summarise(job);
    };
    await Promise.all(Array.from({ length: MOST_SUBMITTED }, submit));
  }

  async #summarise(job) {
    do {
      Object.assign(job, { summary: '', tokens: 0, total: undefined, error: undefined });
      await this.#send(job);
      // Once a chunk has come the server doesn't send a request again: only the caller knows that nothing speaks
      // against doing this work twice.
    } while (job.isLost && job.workers.length < MOST_SENDINGS);
    job.done = true;
    this.#display.changed(job);
  }

  /** Sends a job to a worker and reads what it streams. */
  async #send(job) {
    job.isLost = false;
    const messages = [{ role: 'user', content: job.text }];
    const stream = this.#server.stream(
      { path: '/chat/completions', body: { model: 'summary-1', stream: true, messages } },
      {
        model: 'summary-1',
        // A request that the user sends meanwhile comes first.
        priority: 'low',
        signal: this.#signal,
        timeoutMs: Infinity,
        queueTimeoutMs: Infinity,
        // What surely has not begun to answer is sent to another worker by the server itself.
        maxAttempts: MOST_SENDINGS,
        onQueued: () => {
          job.waited = true;
        },
        onStarted: (worker) => this.#onStarted(job, worker.id),
        onProgress: ({ tokens }) => {
          job.total = tokens;
        },
      },
    );
    try {
      for await (const chunk of stream) this.#onToken(job, chunk.choices[0].delta.content ?? '');
      await stream.result;
    } catch (error) {
      job.isLost = error.code === 'WORKER_LOST';
      job.error = job.isLost ? `given up: ${job.workers.length} workers were lost with it` : error.message;
    }
  }

  #onStarted(job, worker) {
    if (job.workers.length === 0) this.#unsent -= 1;
    if (this.victim !== null && job.workers.at(-1) === this.victim.name) this.victim.moved.push(job);
    job.workers.push(worker);
    this.#display.changed(job);
    if (this.victim === null && this.#isTimeToKill(worker)) {
      this.victim = { name: worker, moved: [] };
      this.#showDeparture(worker);
      // In this very tick: the worker can't have done anything yet with what it is being sent.
      this.#kill(worker);
    }
  }

  /** Shows that a worker was killed once it has left: until then results that it had sent may still arrive. */
  #showDeparture(worker) {
    const unsubscribe = this.#server.onWorkerDisconnected(({ id }) => {
      if (id !== worker) return;
      unsubscribe();
      // By then the results that came before are handled.
      setImmediate(() => {
        if (!this.#signal.aborted) this.#display.killed(worker, this.#movingFrom(worker));
      });
    });
  }

  /** The jobs that a killed worker leaves behind, whether they have been sent again by now or not. */
  #movingFrom(worker) {
    const { moved } = this.victim;
    return this.jobs.filter((job) => !job.done && (job.workers.at(-1) === worker || moved.includes(job)));
  }

  /** When it has shown something and gets more, at the latest with the last document. */
  #isTimeToKill(worker) {
    return (this.#shown.get(worker) ?? 0) >= TOKENS_BEFORE_KILL || this.#unsent === 0;
  }

  #onToken(job, content) {
    if (content === '') return;
    const worker = job.workers.at(-1);
    this.#shown.set(worker, (this.#shown.get(worker) ?? 0) + 1);
    job.summary += content;
    job.tokens += 1;
    this.#display.changed(job);
  }
}

module.exports = { Show };
