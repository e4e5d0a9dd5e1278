'use strict';

const { MAX_NOTES, NOTE_FIELDS, NO_PLACE, NoteKind } = require('../native/abi.js');
const { MEMORY_IS_SHARED } = require('../native/shared-memory.js');
const { RequestHolders } = require('../workers/request-holders.js');

const { Tracked: TRACKED, Released: RELEASED, Completed: COMPLETED } = NoteKind;

/**
 * The requests that the application has tracked on the workers of a server. Their ids stay here; the native side learns
 * only whose count changes, and that by notes in memory which both sides see: it takes them when it is next asked for
 * workers, at the latest at the end of the turn.
 */
class TrackedRequests {
  #native;
  /**
   * How many notes there are, and the notes. Where memory is not shared each note is passed by a call, and there is
   * null.
   */
  #notes;
  /**
   * A worker's set of pending requests is public, and may lack what it holds. Keys grow from registration to
   * registration.
   */
  #holders = new RequestHolders({ isHolder: (record) => record.peer !== null, orderOf: (record) => record.key });
  #submissions;

  constructor(native, submissions) {
    this.#native = native;
    this.#notes = MEMORY_IS_SHARED ? native.notes() : null;
    this.#submissions = submissions;
  }

  track(record, requestId, category) {
    record.track(requestId, category);
    this.#note(record, category, TRACKED);
    this.#holders.add(requestId, record);
  }

  /** Ends a request on the earliest registered worker that holds it. */
  release(requestId, incrementCompleted) {
    const record = this.#holders.take(requestId);
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

  /** A slot that was kept for a request of the category, and that none has taken, is free again. */
  free(record, category) {
    this.#note(record, category, RELEASED);
  }

  /** A worker has left, and what it held with it. */
  forget(record) {
    this.#holders.forget(record, record.pendingRequests);
  }

  /** All workers have left. */
  clear() {
    this.#holders.clear();
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

module.exports = { TrackedRequests };
