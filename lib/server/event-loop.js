'use strict';

const { setImmediate } = require('node:timers');

const { Batch } = require('./event-batch.js');
const { now } = require('../time/clock.js');
const { EventContext } = require('./event-context.js');
const { BATCH_FIELDS, PacingVerdict, ROW_FIELDS, VERDICT_FIELD } = require('../native/abi.js');

/** How long events are handled before Node's event loop has its turn. */
const SLICE_MS = 1;
/** After this many events at once more are likely: then it pays to look again after a turn rather than to be woken. */
const BUSY_EVENTS = 64;
/** A chunk that follows another calls no handler, and takes little: the clock is read once for this many. */
const CHUNKS_BETWEEN_LOOKS = 16;
/** Events in one turn: at least, to begin with, and at most. */
const MIN_QUOTA = 8;
const FIRST_QUOTA = 64;
const MAX_QUOTA = 16 * 1024;

/** Takes events from the native side, batch by batch, and has each handled, a slice of time after the other. */
class EventLoop {
  #native;
  #submissions;
  #handleEvent;
  #onRow;
  #complain;
  /** Where the native side writes a batch of events, and what is left of that. */
  #fields = new Float64Array(BATCH_FIELDS);
  #batch = null;
  /** When the last turn of handling began and how many events it had, and how many the next may have. */
  #round = null;
  #quota = FIRST_QUOTA;
  #drainAgain = () => {
    this.#learn(this.#round);
    this.drain();
  };
  /** That in which the server was started. */
  #context = new EventContext();
  #lookAgain = () => this.drain(true);
  /** What is to be called when all that was received before has been handled: by number, how much is still to come. */
  #barriers = new Map();
  #lastBarrier = 0;
  /** Those that wait for the batch in hand. */
  #batchBarriers = [];

  /**
   * @param {(kind: number, batch: Batch) => void} handleEvent
   * @param {(row: Float64Array, at: number) => void} onRow called with the state of each worker that a batch is about
   * @param {(kind: number | undefined, thrown: unknown) => void} complain called with what handling an event threw
   */
  constructor({ handleEvent, onRow, complain }) {
    this.#handleEvent = handleEvent;
    this.#onRow = onRow;
    this.#complain = complain;
  }

  /** The server is bound: from now on there may be events. */
  begin(nativeServer, submissions) {
    this.#native = nativeServer;
    this.#submissions = submissions;
  }

  /** Runs `handle`, a part of an event that is an event to the application, in an async context of its own. */
  runApart(handle) {
    return this.#context.runApart(handle);
  }

  /** No more events come. */
  close() {
    this.#barriers.clear();
    this.#context.close();
  }

  /**
   * Handles events until there are none, or until it is the event loop's turn; then it goes on when that has turned.
   * The native side calls it once, and again only after it was notified that nobody will come by itself: not while its
   * verdict is that this one looks again by itself. When it `looks`, the native side waits a moment for the first of
   * them.
   *
   * The native side counts on it: whatever goes wrong, it is gone on.
   */
  drain(looks = false) {
    try {
      this.#drainSlice(looks);
    } catch (thrown) {
      this.#complain(undefined, thrown);
      this.#goOnLater(now(), 0);
    }
  }

  #drainSlice(looks) {
    const begun = now();
    const end = begun + SLICE_MS;
    let handled = 0;
    for (;;) {
      if (this.#batch === null) {
        const isBusy = handled >= BUSY_EVENTS;
        this.#batch = this.#fetch(isBusy, looks && handled === 0);
        if (this.#batch === null) {
          if (isBusy) this.#goOnLater(begun, handled);
          else if (this.#fields[VERDICT_FIELD] === PacingVerdict.Poll) setImmediate(this.#lookAgain);
          return;
        }
      }
      const batch = this.#batch;
      handled += this.#submissions.during(() => this.#handle(batch, end, this.#quota - handled));
      const { isDone } = batch;
      if (isDone) this.#onBatchDone();
      if (!isDone || now() > end) {
        this.#goOnLater(begun, handled);
        return;
      }
    }
  }

  #onBatchDone() {
    this.#batch = null;
    if (this.#batchBarriers.length > 0) this.#batchBarriers.splice(0).forEach((number) => this.onBarrier(number));
  }

  #goOnLater(begun, handled) {
    this.#round = { begun, handled };
    setImmediate(this.#drainAgain);
  }

  /**
   * Learns from the last turn how many events fit into one. What handlers do after an `await` comes when they have
   * returned, and is seen only by how long the whole turn took.
   */
  #learn({ begun, handled }) {
    const took = now() - begun;
    if (took <= SLICE_MS) this.#quota = Math.min(this.#quota * 2, MAX_QUOTA);
    else this.#quota = Math.max(MIN_QUOTA, Math.floor((handled * SLICE_MS) / took));
  }

  /** Takes a batch from the native side; `null` if there is none, and none comes while it `looks`. */
  #fetch(returns, looks) {
    const fields = this.#fields;
    const joined = this.#native.drain(returns, looks, fields);
    if (joined === null) return null;
    const [eventsEnd, rowsEnd, extras] = fields;
    for (let at = eventsEnd; at < rowsEnd; at += ROW_FIELDS) this.#onRow(fields, at);
    return new Batch(fields, eventsEnd, joined, extras > 0 ? this.#native.takeExtras() : null);
  }

  /** Handles a batch, or as much of it as there is time for, and at most `quota` events. Returns how many. */
  #handle(batch, end, quota) {
    const context = this.#context;
    let handled = 0;
    const handleSome = () => {
      do {
        this.#handleNext(batch);
        handled += 1;
        if (handled >= quota || batch.isDone) return false;
        if ((!batch.isNextChunk || handled % CHUNKS_BETWEEN_LOOKS === 0) && now() > end) return false;
      } while (!context.isSpoiled);
      return true;
    };
    if (quota > 0 && !batch.isDone) context.repeat(handleSome);
    return handled;
  }

  /** Handles one event. What goes wrong with it goes wrong with no other. */
  #handleNext(batch) {
    let kind;
    try {
      kind = batch.take();
      this.#handleEvent(kind, batch);
    } catch (thrown) {
      if (kind === undefined) batch.abandon();
      this.#complain(kind, thrown);
    }
  }

  // ---- Barriers ----

  /** Calls `callback` when all that the server had received by now has been handled, at once if that is so already. */
  afterReceived(callback) {
    this.#lastBarrier += 1;
    const number = this.#lastBarrier;
    let left = this.#native.barrier(number);
    if (this.#batch !== null) {
      left += 1;
      this.#batchBarriers.push(number);
    }
    if (left === 0) callback();
    else this.#barriers.set(number, { left, callback });
  }

  /** What was received before a barrier, from one peer or in one batch, has been handled. */
  onBarrier(number) {
    const barrier = this.#barriers.get(number);
    if (barrier === undefined) return;
    barrier.left -= 1;
    if (barrier.left > 0) return;
    this.#barriers.delete(number);
    barrier.callback();
  }
}

module.exports = { EventLoop };
