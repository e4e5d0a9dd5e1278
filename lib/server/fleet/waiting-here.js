'use strict';

const { now } = require('../../time/clock.js');
const { notesOf } = require('./fleet-notes.js');

/** How many points in time are remembered, each with the number of the request that arrived then. */
const MAX_ARRIVALS = 4_096;
const PRIORITIES = 3;

/**
 * The requests that wait at this server, as other nodes are notified of them: by what they ask of a worker, and by
 * priority.
 */
class WaitingHere {
  #slots;
  /** By the text of the demand: a set for each priority, in the order in which they began to wait. */
  #groups = new Map();
  /** Those that a worker has rejected. */
  #rejected = new Set();
  #size = 0;
  /** When requests arrived, and which numbers the native queue assigned to them, oldest first: { at, arrival }. */
  #arrivals = [];

  constructor(slots) {
    this.#slots = slots;
  }

  get size() {
    return this.#size;
  }

  /** Those that a worker has rejected. */
  get rejected() {
    return [...this.#rejected];
  }

  /** A request has begun to wait. Returns the want that it is: `[key, priority, ageMs, count]`. */
  add(request) {
    const time = now();
    const notes = notesOf(request);
    if (notes.waitsSince === undefined) {
      notes.waitsSince = time;
      this.#arrivals.push({ at: time, arrival: request.arrival });
      if (this.#arrivals.length > MAX_ARRIVALS) this.#arrivals.splice(0, MAX_ARRIVALS / 2);
    }
    const key = this.#slots.demandTextOf(request);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = Array.from({ length: PRIORITIES }, () => new Set());
      this.#groups.set(key, group);
    }
    const requests = group[request.options.priority];
    requests.add(request);
    if (request.rejectedBy !== null) this.#rejected.add(request);
    this.#size += 1;
    return wantOf(key, requests, time);
  }

  /** It waits no longer. */
  delete(request) {
    const key = this.#slots.demandTextOf(request);
    const group = this.#groups.get(key);
    if (group?.[request.options.priority].delete(request) !== true) return;
    this.#rejected.delete(request);
    this.#size -= 1;
    if (group.every(({ size }) => size === 0)) this.#groups.delete(key);
  }

  /** What waits, the highest priority first and there the oldest: at most `most` kinds. */
  wants(most) {
    const wants = [];
    const time = now();
    for (const [key, group] of this.#groups) {
      for (const requests of group) if (requests.size > 0) wants.push(wantOf(key, requests, time));
    }
    wants.sort(([, priority, ageMs], [, otherPriority, otherAgeMs]) => priority - otherPriority || otherAgeMs - ageMs);
    return wants.slice(0, most);
  }

  /** What peers are notified of when a worker may have them again. */
  wantsOfRejected() {
    const time = now();
    return Array.from(this.#rejected, (request) => {
      const key = this.#slots.demandTextOf(request);
      return wantOf(key, this.#groups.get(key)[request.options.priority], time);
    });
  }

  /**
   * Of the requests with a demand the one whose turn it is, if it has at least that priority and the worker may have
   * it; else `undefined`.
   */
  firstFor(key, priority, workerId) {
    const time = now();
    let first;
    let firstWant;
    for (const requests of this.#groups.get(key) ?? []) {
      const oldest = firstThatMayHave(requests, workerId, time);
      if (oldest === undefined) continue;
      const want = wantOf(key, requests, time, oldest);
      const isBetter =
        firstWant === undefined || want[1] < firstWant[1] || (want[1] === firstWant[1] && want[2] > firstWant[2]);
      if (!isBetter) continue;
      firstWant = want;
      first = oldest;
    }
    return firstWant !== undefined && firstWant[1] <= priority ? first : undefined;
  }

  /**
   * The number that the native queue assigned to the last request that had arrived by then; 0 if none is remembered.
   */
  arrivalAt(time) {
    let [from, to] = [0, this.#arrivals.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#arrivals[middle].at <= time) from = middle + 1;
      else to = middle;
    }
    return from === 0 ? 0 : this.#arrivals[from - 1].arrival;
  }
}

/**
 * Requests of one demand and priority, as others are notified of them. One that has waited half of its time counts one
 * class higher.
 */
function wantOf(key, requests, time, oldest = firstOf(requests)) {
  const { priority, queueTimeoutMs } = oldest.options;
  const ageMs = time - oldest.fleetNotes.waitsSince;
  const isHigher = priority > 0 && ageMs >= queueTimeoutMs / 2;
  return [key, isHigher ? priority - 1 : priority, Math.round(ageMs), requests.size];
}

function firstOf(requests) {
  const [first] = requests;
  return first;
}

/** One that was rejected by a worker does not go there again before its pause is over. */
function firstThatMayHave(requests, workerId, time) {
  for (const request of requests) {
    if (!(request.rejectedBy?.get(workerId)?.until > time)) return request;
  }
  return undefined;
}

module.exports = { WaitingHere };
