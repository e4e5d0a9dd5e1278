'use strict';

const CODES = ['TIMEOUT', 'QUEUE_TIMEOUT', 'QUEUE_FULL', 'NO_WORKER', 'WORKER_LOST', 'WORKER_ERROR'];
/** Ends that each occur in some round; overflow takes more than the rounds send. */
const COMMON_ENDS = [...CODES, 'SERVER_STOPPING', 'AbortError', 'completed'];
const ENDS = new Set([...COMMON_ENDS, 'STREAM_OVERFLOW']);

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

module.exports = { COMMON_ENDS, Ledger };
