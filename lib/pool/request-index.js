'use strict';

/** Requests to know before it is first looked for those that nobody holds any more. */
const FIRST_SWEEP = 1024;

/** Notes to keep before they are entered, asked for or not. */
const MAX_NOTES = 4096;

/**
 * Which record (of a worker in a pool) holds a tracked request. Only a shortcut: the truth is in the workers' own
 * `pendingRequests`, which their owners may change, so what is found here is looked up there.
 */
class RequestIndex {
  /** The record that was given a request; null if it was given more than once. */
  #holders = new Map();
  #sweepAt = FIRST_SWEEP;
  /**
   * Requests that are not in the map yet, and the records that were given them. They are entered when somebody asks:
   * an application waits for trackRequest before it sends its request, and for releaseRequest when it has the answer.
   */
  #ids = [];
  #records = [];
  #noted = 0;

  /** Notes that a record was given a request. */
  note(requestId, record) {
    const at = this.#noted;
    this.#ids[at] = requestId;
    this.#records[at] = record;
    this.#noted = at + 1;
    if (at === MAX_NOTES) this.#enter();
  }

  /** The record that holds a request, if it is known to be the only one; else undefined. */
  onlyHolder(requestId) {
    this.#enter();
    return this.#lookUp(requestId);
  }

  /** Notes who holds a request, once that was looked for. */
  settle(requestId, records) {
    this.#enter();
    if (records.length === 0) this.#holders.delete(requestId);
    else this.#holders.set(requestId, records.length === 1 ? records[0] : null);
  }

  /** A worker has left the pool with all that it holds. */
  forgetRecord(record) {
    this.#enter();
    record.worker.pendingRequests.forEach((requestId) => {
      if (this.#holders.get(requestId) === record) this.#holders.delete(requestId);
    });
  }

  clear() {
    this.#enter();
    this.#holders.clear();
  }

  #lookUp(requestId) {
    const record = this.#holders.get(requestId);
    return record?.isMember && record.worker.pendingRequests.has(requestId) ? record : undefined;
  }

  #enter() {
    if (this.#noted === 0) return;
    const holders = this.#holders;
    const ids = this.#ids;
    const records = this.#records;
    for (let index = 0; index < this.#noted; index += 1) {
      const requestId = ids[index];
      const { size } = holders;
      holders.set(requestId, records[index]);
      // Of one that was known already it is looked for who holds it when it is released.
      if (holders.size === size) holders.set(requestId, null);
      // The arrays keep their length, which costs less than to grow again, but hold nothing.
      ids[index] = undefined;
      records[index] = undefined;
    }
    this.#noted = 0;
    if (holders.size >= this.#sweepAt) this.#sweep();
  }

  /** Ids that their owner took out of `pendingRequests` would otherwise stay for ever. */
  #sweep() {
    for (const requestId of this.#holders.keys()) {
      if (this.#lookUp(requestId) === undefined) this.#holders.delete(requestId);
    }
    this.#sweepAt = Math.max(FIRST_SWEEP, 2 * this.#holders.size);
  }
}

module.exports = { RequestIndex };
