'use strict';

const { onProcessExit } = require('./exit-hook.js');
const {
  BUFFERED_AMOUNT_PAGE_SLOTS,
  EARLY_COUNTER: EARLY,
  MAX_SUBMISSIONS,
  PUBLISHED_COUNTER: PUBLISHED,
  SUBMISSION_FIELDS,
  WATCHED_COUNTER: WATCHED,
} = require('../native/abi.js');

/** A longer text goes by itself, and so does one that is in pieces. */
const MAX_SHORT = 4 * 1024;
/** What a frame adds to a short text, in bytes. */
const HEADER_BYTES = 4;
/**
 * After a turn with fewer messages they are taken one by one: there it costs little, and heartbeats that workers send
 * meanwhile are acknowledged behind them.
 */
const SEVERAL_MESSAGES = 3;
/** More than that in one turn are always taken together. */
const MANY_MESSAGES = 64;
/** What UTF-8 takes at most for a UTF-16 unit, in bytes. */
const MAX_UNIT_BYTES = 3;

/**
 * Writes a string as UTF-8. Node's own part of `Buffer.prototype.write`, which takes as long again to look at its
 * arguments.
 */
const { utf8Write = Buffer.prototype.write } = Buffer.prototype;
/** As it was when this was loaded: tests replace it. */
const { nextTick } = process;

/**
 * What is sent in one turn of the event loop, which leaves together when the running code is done. A call into the
 * addon costs more than a short message, so messages are written into memory that both sides see, and published there
 * by a count. Should the turn be long, or nothing may say that it ends (a test may have replaced `process.nextTick`),
 * the native side takes them by itself. Whether a worker can be sent to is read from such memory, too.
 */
class Submissions {
  #native;
  #maxQueuedBytes;
  #pages = [];
  #counters;
  #records;
  #texts;
  /** How many messages are published, and where the next one's text goes. */
  #count = 0;
  #end = 0;
  /** How often all that was published has been taken. */
  #taken = 0;
  /** How many were sent in this turn, and whether they are taken together. */
  #sent = 0;
  #collects = false;
  /** Something will have left by the end of this turn, unless something left early, more often than it had by then. */
  #planned = false;
  #early = 0;
  #leave = () => this.leave();
  /** Nothing runs any more when the running code is done: what is sent leaves at once. */
  #isExiting = false;
  #forgetExit;

  constructor(native, maxQueuedBytes) {
    this.#native = native;
    this.#maxQueuedBytes = maxQueuedBytes;
    const { counters, records, texts } = native.submissions();
    this.#counters = counters;
    this.#records = records;
    this.#texts = Buffer.from(texts.buffer, texts.byteOffset, texts.length);
    this.#forgetExit = onProcessExit(() => this.onExit());
  }

  /**
   * Sends a text, or the pieces of one (`serializer.js`), to a worker. False if its socket is not open, or too much
   * waits for it.
   */
  send(record, text) {
    this.#sent += 1;
    if (typeof text !== 'string' || text.length > MAX_SHORT) return this.#sendAlone(record, text);
    if (this.#count === MAX_SUBMISSIONS || this.#end + text.length * MAX_UNIT_BYTES > this.#texts.length) this.#flush();
    const bytes = utf8Write.call(this.#texts, text, this.#end);
    record.bufferedAmountPage ??= this.#bufferedAmountPage(
      Math.floor(record.bufferedAmountIndex / BUFFERED_AMOUNT_PAGE_SLOTS),
    );
    // What was published since the last time may be among what the native side shows, if it has taken that early. Then
    // it counts twice.
    const departing = (record.departingSince === this.#taken ? record.departing : 0) + bytes + HEADER_BYTES;
    if (record.bufferedAmountPage[record.bufferedAmountSlot] + departing > this.#maxQueuedBytes)
      return this.#sendAlone(record, text);
    record.departing = departing;
    record.departingSince = this.#taken;
    this.#publish(record, bytes);
    this.plan();
    return true;
  }

  #bufferedAmountPage(number) {
    this.#pages[number] ??= this.#native.bufferedAmountPage(number);
    return this.#pages[number];
  }

  #publish(record, bytes) {
    const count = this.#count;
    this.#records[SUBMISSION_FIELDS * count] = record.key;
    this.#records[SUBMISSION_FIELDS * count + 1] = bytes;
    this.#count = count + 1;
    this.#end += bytes;
    // Plain accesses, which the native side expects.
    this.#counters[PUBLISHED] = count + 1;
    if (!this.#collects) {
      this.#collects = this.#sent >= MANY_MESSAGES;
      this.cross();
    } else if (this.#counters[WATCHED] === 0) {
      this.cross();
    }
    if (this.#isExiting) this.#writeAll();
  }

  #sendAlone(record, text) {
    this.cross();
    const sent = this.#native.send(record.id, text);
    if (sent) this.#onSent();
    return sent;
  }

  broadcast(text) {
    this.cross();
    this.#native.broadcast(text);
    this.#onSent();
  }

  #onSent() {
    if (this.#isExiting) this.#writeAll();
    this.plan();
  }

  /** Has the native side take what was published. Whatever it does next comes after that. */
  cross() {
    if (this.#count === 0) return;
    this.#native.takeSubmissions();
    this.#onTaken();
  }

  /** All was taken: publishing begins at the start again. */
  #onTaken() {
    if (this.#count === 0) return;
    this.#count = 0;
    this.#end = 0;
    this.#taken += 1;
  }

  /** What was sent leaves, while the turn may go on. */
  #flush() {
    this.#native.flush();
    this.#onTaken();
  }

  /** The end of a turn. */
  leave() {
    this.#planned = false;
    this.#collects = this.#sent >= SEVERAL_MESSAGES;
    this.#sent = 0;
    this.#flush();
  }

  /** Runs `handle`; what it sends leaves when it is done. */
  during(handle) {
    this.#planned = true;
    this.#early = this.#counters[EARLY];
    try {
      return handle();
    } finally {
      this.leave();
    }
  }

  /**
   * The process exits. What was sent has left, as far as the sockets take it, when this returns; and so it is from now
   * on.
   */
  onExit() {
    this.#isExiting = true;
    this.#writeAll();
  }

  #writeAll() {
    this.#native.writeAll();
    this.#onTaken();
  }

  /** The server has ended. */
  close() {
    this.#forgetExit();
  }

  /** Sees to it that the native side is called by the end of the turn. */
  plan() {
    const early = this.#counters[EARLY];
    if (this.#planned && early === this.#early) return;
    this.#planned = true;
    this.#early = early;
    nextTick(this.#leave);
  }
}

module.exports = { Submissions };
