'use strict';

// A ledger of a fleet under load: what every worker has run, and what every caller has got.

const { setImmediate: nextTurn } = require('node:timers/promises');
const { onCleanup } = require('../../support/cleanup.js');

/** How many chunks a stream has, and so have requests, whose caller doesn't see them. */
const CHUNKS = 5;

/** What ran, and what callers got. */
class Ledger {
  runs = new Map();
  outcomes = [];
  /** The ids that were asked for. */
  called = [];
  #isOver = false;
  #loops = [];
  #last = 0;

  ran(id) {
    this.runs.set(id, (this.runs.get(id) ?? 0) + 1);
  }

  /** Keeps requests and streams under way at a server, until `end()` or the test's own end. */
  keep(server, { requests, streams, options }) {
    onCleanup(() => {
      this.#isOver = true;
    });
    for (let count = 0; count < requests; count += 1)
      this.#loops.push(this.#loop((id) => this.#request(server, id, options)));
    for (let count = 0; count < streams; count += 1)
      this.#loops.push(this.#loop((id) => this.#stream(server, id, options)));
  }

  async #loop(call) {
    while (!this.#isOver) {
      this.#last += 1;
      const id = `r${this.#last}`;
      this.called.push(id);
      try {
        await call(id);
        this.outcomes.push({ id, code: 'completed' });
      } catch (error) {
        this.outcomes.push({ id, code: error.code ?? error.message, started: error.started, attempts: error.attempts });
        // Those that are refused at once would leave the event loop no other turn.
        await nextTurn();
      }
    }
  }

  async #request(server, id, options) {
    const result = await server.request({ id, ms: 20 }, { ...options, requestId: id });
    if (result !== id) throw new Error(`${id} got ${result}`);
  }

  async #stream(server, id, options) {
    const stream = server.stream({ id, ms: 20 }, { ...options, requestId: id });
    let expected = 0;
    for await (const chunk of stream) {
      if (chunk !== expected) throw new Error(`${id} got chunk ${chunk} where ${expected} was next`);
      expected += 1;
    }
    if (expected !== CHUNKS) throw new Error(`${id} got ${expected} chunks`);
    if ((await stream.result) !== id) throw new Error(`${id} got another result`);
  }

  /** No more calls: resolves when all have their end. */
  async end() {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  counts() {
    const counts = {};
    for (const { code } of this.outcomes) counts[code] = (counts[code] ?? 0) + 1;
    return counts;
  }

  /** Ids that ran more often than they may. */
  doubled(most) {
    return [...this.runs].filter(([, times]) => times > most);
  }
}

module.exports = { CHUNKS, Ledger };
