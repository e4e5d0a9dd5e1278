'use strict';

const { ARRAY_TEXTS, endOfArray, parseArray } = require('./joined-texts.js');

/** How events are numbered by the native side. */
const TEXTS = 0;
const MESSAGE = 1;
const REGISTER = 2;
const CLOSED = 3;
const CONNECTION = 4;
const LOG = 5;
const STOPPED = 6;
const SLOTS = 7;
const BARRIER = 8;

/** Doubles before the first event of a batch, and for each event. */
const HEAD_FIELDS = 3;
const EVENT_FIELDS = 4;

const NO_MESSAGES = [];

/** Events that were taken from the native side together, and how far they are handled. */
class Batch {
  /** What was taken last: from which connection, its message if it is one of several, else what the native side says of it. */
  peer = 0;
  message = undefined;
  a = 0;
  b = 0;
  /** Values that are no numbers; `a` and `b` say which. */
  extras;
  #fields;
  #at = HEAD_FIELDS;
  #end;
  #joined;
  #joinedAt = 0;
  /** Messages of the last connection that are still to be taken, and the next of those, parsed. */
  #left = 0;
  #messages = NO_MESSAGES;
  #messagesAt = 0;
  /** Where the lengths of those are. */
  #lengthsAt = 0;
  /** Where the text of the message begins and ends; -1 if it is not one of several. */
  #textAt = -1;
  #textEnd = -1;

  /** `fields` up to `end` are the events, and `joined` has their texts: see `joined-texts.js`. */
  constructor(fields, end, joined, extras) {
    this.#fields = fields;
    this.#end = end;
    this.#joined = joined;
    this.extras = extras;
  }

  get isDone() {
    return this.#left === 0 && this.#at === this.#end;
  }

  /** Takes the next event, and gives its kind. */
  take() {
    if (this.#left === 0) {
      const fields = this.#fields;
      const at = this.#at;
      this.#at += EVENT_FIELDS;
      this.peer = fields[at + 1];
      if (fields[at] !== TEXTS) {
        this.a = fields[at + 2];
        this.b = fields[at + 3];
        this.#textAt = -1;
        return fields[at];
      }
      this.#left = fields[at + 2];
    }
    if (this.#messagesAt === this.#messages.length) this.#parseNext();
    this.message = this.#messages[this.#messagesAt];
    // Behind the one before is a comma.
    this.#textAt = this.#textEnd + 1;
    this.#textEnd = this.#textAt + this.#fields[this.#lengthsAt + this.#messagesAt];
    this.#messagesAt += 1;
    this.#left -= 1;
    return TEXTS;
  }

  /** The bytes of the message's text in UTF-8, which are counted when somebody asks. */
  get byteLength() {
    const isOneOfSeveral = this.#textAt >= 0;
    return Buffer.byteLength(isOneOfSeveral ? this.#joined.slice(this.#textAt, this.#textEnd) : this.extras[this.a]);
  }

  /** Gives up what has not been taken. */
  abandon() {
    this.#left = 0;
    this.#at = this.#end;
  }

  #parseNext() {
    const count = Math.min(this.#left, ARRAY_TEXTS);
    const from = this.#joinedAt;
    const end = endOfArray(from, this.#fields, this.#at, count);
    this.#messages = parseArray(this.#joined, from, end, this.#fields, this.#at, count);
    this.#joinedAt = end;
    this.#textEnd = from;
    this.#messagesAt = 0;
    this.#lengthsAt = this.#at;
    this.#at += count;
  }
}

module.exports = { Batch, TEXTS, MESSAGE, REGISTER, CLOSED, CONNECTION, LOG, STOPPED, SLOTS, BARRIER };
