'use strict';

const native = require('../native/addon.js');
const { statusNumber } = require('../workers/status-rules.js');

/**
 * Lists that are remembered. Beyond, all are forgotten and made again: callers may pass on names that others made up.
 */
const REMEMBERED_LISTS = 256;

// Columns of what Roster.candidates returns, and of what leastLoaded and freeSlots are asked with.
const [NUMBER, ROSTER_MAX, ROSTER_LIMIT, ROSTER_COLUMNS] = [0, 1, 2, 3];
const [STATUS, ACTIVE, MAX, CATEGORY_ACTIVE, LIMIT, COLUMNS] = [0, 1, 2, 3, 4, 5];

/** The workers that support one model name, with the columns that the native rules look at. */
class Candidates {
  #workers;
  #category;
  #columns;

  /** `rows` as Roster.candidates returns them; `workerOf` finds the worker of a number. */
  constructor(rows, workerOf, category) {
    const count = rows.length / ROSTER_COLUMNS;
    const column = (index) => rows.subarray(index * count, (index + 1) * count);
    this.#workers = Array.from(column(NUMBER), workerOf);
    this.#category = category;
    this.#columns = new Float64Array(count * COLUMNS);
    this.#columns.set(column(ROSTER_MAX), MAX * count);
    this.#columns.set(column(ROSTER_LIMIT), LIMIT * count);
  }

  /** The worker that gets the next request, or null. */
  leastLoaded() {
    return this.#workers[native.leastLoaded(this.#read())] ?? null;
  }

  freeSlots() {
    return native.freeSlots(this.#read());
  }

  /** Copies what the workers' owners may have changed into the columns. */
  #read() {
    const workers = this.#workers;
    const columns = this.#columns;
    const count = workers.length;
    const category = this.#category;
    for (let row = 0; row < count; row += 1) {
      const worker = workers[row];
      columns[STATUS * count + row] = statusNumber(worker.status);
      columns[ACTIVE * count + row] = worker.activeRequests;
      if (category !== undefined) {
        columns[CATEGORY_ACTIVE * count + row] = worker.categoryActiveRequests.get(category) ?? 0;
      }
    }
    return columns;
  }
}

/** Candidates for each model name and category that was asked for, until the workers of the pool become others. */
class CandidateLists {
  #roster;
  #workerOf;
  #lists = new Map();
  #size = 0;

  constructor(roster, workerOf) {
    this.#roster = roster;
    this.#workerOf = workerOf;
  }

  forget() {
    if (this.#size === 0) return;
    this.#lists.clear();
    this.#size = 0;
  }

  get(model, category) {
    const found = this.#lists.get(model)?.get(category);
    if (found !== undefined) return found;
    if (this.#size >= REMEMBERED_LISTS) this.forget();
    const list = new Candidates(this.#roster.candidates(model, category), this.#workerOf, category);
    let lists = this.#lists.get(model);
    if (lists === undefined) {
      lists = new Map();
      this.#lists.set(model, lists);
    }
    lists.set(category, list);
    this.#size += 1;
    return list;
  }
}

module.exports = { CandidateLists };
