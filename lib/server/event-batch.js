'use strict';

const { EVENT_FIELDS, EventKind, HEAD_FIELDS } = require('../native/abi.js');
const { ARRAY_TEXTS, chunkText, endOfArray, nextChunkLength, parseArray } = require('./joined-texts.js');

const {
  Texts: TEXTS,
  Message: MESSAGE,
  Register: REGISTER,
  Closed: CLOSED,
  Connection: CONNECTION,
  SecureConnection: SECURE_CONNECTION,
  Log: LOG,
  Stopped: STOPPED,
  Slots: SLOTS,
  Barrier: BARRIER,
  Approved: APPROVED,
} = EventKind;

const NO_MESSAGES = [];

/** Events that were taken from the native side together, and how far they are handled. */
class Batch {
  /**
   * What was taken last: from which connection, its message if it is one of several, else what the native side says of
   * it.
   */
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
  /** Where the array of those begins in the texts, and where their lengths are. */
  #arrayAt = 0;
  #lengthsAt = 0;
  /** Whether what was taken last is one of several messages. */
  #isOneOfSeveral = false;
  /** The length of the message that was taken last, if it is the next chunk of a stream: see `nextChunk`. */
  #chunkLength = 0;
  /** The stream of the last whole message, if chunks of it follow. */
  #requestId;
  #attempt;
  #seq = 0;

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

  /** Takes the next event, and returns its kind. */
  take() {
    if (this.#left === 0) {
      const fields = this.#fields;
      const at = this.#at;
      this.#at += EVENT_FIELDS;
      this.peer = fields[at + 1];
      if (fields[at] !== TEXTS) {
        this.a = fields[at + 2];
        this.b = fields[at + 3];
        this.#isOneOfSeveral = false;
        this.#chunkLength = 0;
        return fields[at];
      }
      this.#left = fields[at + 2];
      this.#isOneOfSeveral = true;
    }
    if (this.#messagesAt === this.#messages.length) this.#parseNext();
    const message = this.#messages[this.#messagesAt];
    const field = this.#lengthsAt + this.#messagesAt;
    this.#chunkLength = nextChunkLength(this.#fields[field]);
    this.message = message;
    this.#messagesAt += 1;
    this.#left -= 1;
    if (this.#chunkLength > 0) this.#seq += 1;
    else if (this.#left > 0 && nextChunkLength(this.#fields[field + 1]) > 0) this.#beginStream(message);
    return TEXTS;
  }

  /** Before a handler has it, who might change it. */
  #beginStream(chunk) {
    this.#requestId = chunk?.requestId;
    this.#attempt = chunk?.attempt;
    this.#seq = chunk?.seq;
  }

  /**
   * Whether what was taken last is the next chunk of the stream whose chunk was taken before it. Then `message` is its
   * data alone, and these are its other members.
   */
  get isNextChunk() {
    return this.#chunkLength > 0;
  }

  get requestId() {
    return this.#requestId;
  }

  get attempt() {
    return this.#attempt;
  }

  get seq() {
    return this.#seq;
  }

  /** The next chunk as a message like all others. */
  wholeChunk() {
    const { message: data } = this;
    return { type: 'request_chunk', requestId: this.#requestId, attempt: this.#attempt, seq: this.#seq, data };
  }

  /** The bytes of the message's text in UTF-8. Those that come several at once are ASCII. */
  get byteLength() {
    if (this.#chunkLength > 0) return this.#chunkLength;
    if (this.#isOneOfSeveral) return this.#fields[this.#lengthsAt + this.#messagesAt - 1];
    return Buffer.byteLength(this.extras[this.a]);
  }

  /** The message's text, as its worker has written it. */
  get text() {
    if (!this.#isOneOfSeveral) return this.extras[this.a];
    const before = this.#messagesAt - 1;
    const start = endOfArray(this.#arrayAt, this.#fields, this.#lengthsAt, before);
    const text = this.#joined.slice(start, endOfArray(start - 1, this.#fields, this.#lengthsAt + before, 1) - 1);
    return this.#chunkLength > 0 ? chunkText(this.#requestId, this.#attempt, this.#seq, text) : text;
  }

  /** Drops what has not been taken. */
  abandon() {
    this.#left = 0;
    this.#at = this.#end;
  }

  #parseNext() {
    const count = Math.min(this.#left, ARRAY_TEXTS);
    const from = this.#joinedAt;
    const end = endOfArray(from, this.#fields, this.#at, count);
    this.#messages = parseArray(this.#joined, from, end, this.#fields, this.#at, count);
    this.#arrayAt = from;
    this.#joinedAt = end;
    this.#messagesAt = 0;
    this.#lengthsAt = this.#at;
    this.#at += count;
  }
}

module.exports = {
  Batch,
  TEXTS,
  MESSAGE,
  REGISTER,
  CLOSED,
  CONNECTION,
  SECURE_CONNECTION,
  LOG,
  STOPPED,
  SLOTS,
  BARRIER,
  APPROVED,
};
