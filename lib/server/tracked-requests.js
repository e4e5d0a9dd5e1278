'use strict';

const { MAX_NOTES } = require('../native/addon.js');
const { MEMORY_IS_SHARED } = require('../native/shared-memory.js');

/** Doubles for each note: the worker's key, the place of the category among those that the worker limits, and a kind. */
const NOTE_FIELDS = 3;
/** The place of a category that is not limited. */
const NO_PLACE = -1;
/** Kinds of notes, as the native side numbers them. */
const TRACKED = 0;
const RELEASED = 1;
const COMPLETED = 2;

/**
 * The requests that the application has tracked on the workers of a server. Their ids stay here; the native side is told only whose count changes, and
 * that by notes in memory which both sides see: it takes them when it is next asked for workers, at the latest at the end
 * of the turn.
 */
class TrackedRequests {
  #native;
  /** How many notes there are, and the notes. Where memory is not shared each note is passed by a call, and there is null. */
  #notes;
  /** The record that holds a request; of an id that several hold all of them, the earliest registered first. */
  #holders = new Map();
  #submissions;

  constructor(native, submissions) {
    this.#native = native;
    this.#notes = MEMORY_IS_SHARED ? native.notes() : null;
    this.#submissions = submissions;
  }

  track(record, requestId, category) {
    record.track(requestId, category);
    this.#note(record, category, TRACKED);
    const holder = this.#holders.get(requestId);
    if (holder === undefined) this.#holders.set(requestId, record);
    else if (holder !== record) this.#share(requestId, holder, record);
  }

  /** Ends a request on the earliest registered worker that holds it. */
  release(requestId, incrementCompleted) {
    const record = this.#takeHolder(requestId);
    if (record === undefined) return;
    const category = record.release(requestId, incrementCompleted);
    this.#note(record, category, incrementCompleted ? COMPLETED : RELEASED);
  }

  /** Whether the application has tracked a request with that id, on whichever worker. */
  has(requestId) {
    return this.#holders.size > 0 && this.#holders.has(requestId);
  }

  /** How many ids the application has tracked. */
  get size() {
    return this.#holders.size;
  }

  /** A request of `request()` goes on on a worker. */
  begin(record, requestId, category) {
    record.track(requestId, category);
    this.#note(record, category, TRACKED);
  }

  /** A request of `request()` has ended on a worker. */
  end(record, requestId, isCompleted) {
    const category = record.release(requestId, isCompleted);
    this.#note(record, category, isCompleted ? COMPLETED : RELEASED);
  }

  /** A worker has left, and what it held with it. */
  forget(record) {
    for (const requestId of record.pendingRequests) {
      const holder = this.#holders.get(requestId);
      if (holder === record) this.#holders.delete(requestId);
      else if (Array.isArray(holder)) this.#settle(requestId, holder);
    }
  }

  /** All workers have left. */
  clear() {
    this.#holders.clear();
  }

  /** One more record holds a request. Keys grow from registration to registration. */
  #share(requestId, holder, record) {
    const records = new Set(Array.isArray(holder) ? holder : [holder]).add(record);
    this.#settle(
      requestId,
      [...records].sort((left, right) => left.key - right.key),
    );
  }

  #takeHolder(requestId) {
    const holder = this.#holders.get(requestId);
    if (!Array.isArray(holder)) {
      this.#holders.delete(requestId);
      return holder;
    }
    const [first, ...others] = holder.filter(isThere);
    this.#settle(requestId, others);
    return first;
  }

  /** Some of the records may have left: a worker's set of pending requests is public, and may lack what it holds. */
  #settle(requestId, records) {
    const there = records.filter(isThere);
    if (there.length === 0) this.#holders.delete(requestId);
    else this.#holders.set(requestId, there.length === 1 ? there[0] : there);
  }

  #placeOf(record, category) {
    record.places ??= new Map(this.#native.limited(record.key).map((limited, place) => [limited, place]));
    return record.places.get(category) ?? NO_PLACE;
  }

  #note(record, category, kind) {
    const notes = this.#notes;
    const place = category === undefined ? NO_PLACE : this.#placeOf(record, category);
    if (notes === null) {
      this.#native.takeNote(record.key, place, kind);
      return;
    }
    const count = notes[0];
    const at = 1 + count * NOTE_FIELDS;
    notes[at] = record.key;
    notes[at + 1] = place;
    notes[at + 2] = kind;
    notes[0] = count + 1;
    if (count + 1 === MAX_NOTES) this.#native.takeNotes();
    this.#submissions.plan();
  }
}

const isThere = (record) => record.peer !== null;

module.exports = { TrackedRequests };
