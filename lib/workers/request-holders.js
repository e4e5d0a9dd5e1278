'use strict';

/** Requests to know before it is first looked for those that nobody holds any more. */
const FIRST_SWEEP = 1024;

/** Requests to note before they are entered, asked for or not. */
const MAX_NOTED = 4096;

const listOf = (known) => (Array.isArray(known) ? known : [known]);

/** Which worker's record holds a tracked request; of an id that several hold, which of them came first. */
class RequestHolders {
  /** The record that was given a request; of one that several were given, a list of them, the earliest first. */
  #holders = new Map();
  #sweepAt = FIRST_SWEEP;
  /**
   * Requests that are not in the map yet, and the records that were given them. They are entered when somebody asks:
   * an application waits for trackRequest before it sends its request, and for releaseRequest when it has the answer.
   */
  #ids = [];
  #records = [];
  #noted = 0;
  #isHolder;
  #orderOf;
  #search;

  /**
   * @param {object} rules
   * @param {(record: object, requestId: unknown) => boolean} rules.isHolder whether a record that was given a request
   *   still holds it
   * @param {(record: object) => number} rules.orderOf what grows from one worker to the next
   * @param {(requestId: unknown) => object[]} [rules.search] finds the holders of a request, the earliest first, where
   *   those that were given it may not be all
   */
  constructor({ isHolder, orderOf, search }) {
    this.#isHolder = isHolder;
    this.#orderOf = orderOf;
    this.#search = search;
  }

  /** A record was given a request. */
  add(requestId, record) {
    const at = this.#noted;
    this.#ids[at] = requestId;
    this.#records[at] = record;
    this.#noted = at + 1;
    if (at === MAX_NOTED) this.#enter();
  }

  /** Takes a request from the earliest record that holds it. Returns that, or undefined if there is none. */
  take(requestId) {
    this.#enter();
    const known = this.#holders.get(requestId);
    if (known !== undefined && !Array.isArray(known) && this.#isHolder(known, requestId)) {
      this.#holders.delete(requestId);
      return known;
    }
    const [first, ...others] = this.#search === undefined ? this.#living(requestId, known) : this.#search(requestId);
    this.#set(requestId, others);
    return first;
  }

  /** Whether somebody was given a request with that id. */
  has(requestId) {
    this.#enter();
    return this.#holders.has(requestId);
  }

  /** How many ids are held. */
  get size() {
    this.#enter();
    return this.#holders.size;
  }

  /** A worker has left with all that it holds. */
  forget(record, pendingRequests) {
    this.#enter();
    pendingRequests.forEach((requestId) => {
      const known = this.#holders.get(requestId);
      if (known === record) this.#holders.delete(requestId);
      else if (Array.isArray(known)) this.#set(requestId, this.#living(requestId, known));
    });
  }

  /** All workers have left. */
  clear() {
    this.#enter();
    this.#holders.clear();
  }

  #set(requestId, records) {
    if (records.length === 0) this.#holders.delete(requestId);
    else this.#holders.set(requestId, records.length === 1 ? records[0] : records);
  }

  /** Those of the known records that hold a request. */
  #living(requestId, known) {
    return known === undefined ? [] : listOf(known).filter((record) => this.#isHolder(record, requestId));
  }

  #enter() {
    if (this.#noted === 0) return;
    const holders = this.#holders;
    const ids = this.#ids;
    const records = this.#records;
    for (let index = 0; index < this.#noted; index += 1) {
      const known = holders.get(ids[index]);
      if (known === undefined) holders.set(ids[index], records[index]);
      else if (known !== records[index]) this.#share(ids[index], known, records[index]);
      // The arrays keep their length, which costs less than to grow again, but hold nothing.
      ids[index] = undefined;
      records[index] = undefined;
    }
    this.#noted = 0;
    if (holders.size >= this.#sweepAt) this.#sweep();
  }

  /** One more record holds a request. */
  #share(requestId, known, record) {
    const records = [...new Set(listOf(known)).add(record)].filter((one) => this.#isHolder(one, requestId));
    this.#set(
      requestId,
      records.sort((left, right) => this.#orderOf(left) - this.#orderOf(right)),
    );
  }

  /** Ids that their owner took out of `pendingRequests` would otherwise stay for ever. */
  #sweep() {
    for (const [requestId, known] of this.#holders) this.#set(requestId, this.#living(requestId, known));
    this.#sweepAt = Math.max(FIRST_SWEEP, 2 * this.#holders.size);
  }
}

module.exports = { RequestHolders };
