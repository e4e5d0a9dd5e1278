'use strict';

const { now } = require('./clock.js');
const { onProcessExit } = require('./exit-hook.js');
const { ROOM_PAGE_SLOTS } = require('./native.js');

/** More text, or more messages, are not kept back until the end of the turn. */
const MAX_CHARACTERS = 64 * 1024;
const MAX_MESSAGES = 512;
/** In a turn after one with fewer messages they cross at once: there it costs little, and they leave even if the turn is long. */
const SEVERAL_MESSAGES = 3;
/** The same after a turn that was longer, from the first of them on. More than that in one turn are always collected. */
const MANY_MESSAGES = 64;
const LONG_TURN_MS = 2;
/** A longer text goes by itself, and so does one that is in pieces. */
const MAX_SHORT = 4 * 1024;
/** What a frame adds to a short text, in bytes. */
const HEADER_BYTES = 4;

/**
 * What is sent in one turn of the event loop, which leaves together when the running code is done. A call into the addon costs
 * more than a short message, so many messages are collected, and cross together. Whether a worker can be sent to is read from memory that
 * the native side keeps up to date.
 */
class Departures {
  #native;
  #maxQueuedBytes;
  #pages = [];
  #count = 0;
  #texts = '';
  #keys = new Float64Array(MAX_MESSAGES);
  #lengths = new Float64Array(MAX_MESSAGES);
  #records = [];
  /** How many were sent in this turn, since when, and whether they are collected. */
  #sent = 0;
  #since = 0;
  #collects = false;
  /** Whether something was sent since somebody asked. */
  #hasSent = false;
  /** Something will have left by the end of this turn. */
  #planned = false;
  #leave = () => this.leave();
  #forgetExit;

  constructor(native, maxQueuedBytes) {
    this.#native = native;
    this.#maxQueuedBytes = maxQueuedBytes;
    // What was sent must not be lost when the process exits in the middle of a turn.
    this.#forgetExit = onProcessExit(this.#leave);
  }

  /** Sends a text, or the pieces of one (`serializer.js`), to a worker. False if its socket is not open, or too much waits for it. */
  send(record, text) {
    if (this.#sent === 0) this.#since = now();
    this.#sent += 1;
    this.#hasSent = true;
    if (!this.#collects) {
      this.#collects = this.#sent === MANY_MESSAGES;
      return this.#sendAlone(record, text);
    }
    if (typeof text !== 'string' || text.length > MAX_SHORT) return this.#sendAlone(record, text);
    const { room } = record;
    const number = Math.floor(room / ROOM_PAGE_SLOTS);
    const page = (this.#pages[number] ??= this.#native.roomPage(number));
    const waiting = page[room % ROOM_PAGE_SLOTS] + record.departing;
    const bytes = text.length + HEADER_BYTES;
    if (waiting + bytes > this.#maxQueuedBytes) return this.#sendAlone(record, text);
    record.departing += bytes;
    this.#keys[this.#count] = record.key;
    this.#lengths[this.#count] = text.length;
    this.#records[this.#count] = record;
    this.#texts += text;
    this.#count += 1;
    if (this.#count === MAX_MESSAGES || this.#texts.length > MAX_CHARACTERS) this.cross();
    this.plan();
    return true;
  }

  #sendAlone(record, text) {
    this.cross();
    const sent = this.#native.send(record.id, text);
    if (sent) this.plan();
    return sent;
  }

  broadcast(text) {
    this.cross();
    this.#native.broadcast(text);
    this.plan();
  }

  /** Whether something was sent to a worker since this was last asked. */
  takeHasSent() {
    const hasSent = this.#hasSent;
    this.#hasSent = false;
    return hasSent;
  }

  /** Hands what was collected to the native side. Whatever it does next comes after that. */
  cross() {
    if (this.#count === 0) return;
    const count = this.#count;
    const texts = this.#texts;
    for (let i = 0; i < count; i += 1) {
      this.#records[i].departing = 0;
      this.#records[i] = undefined;
    }
    this.#count = 0;
    this.#texts = '';
    this.#native.sendPromised(count, this.#keys, this.#lengths, texts);
  }

  /** The end of a turn. */
  leave() {
    this.#planned = false;
    this.#learn();
    if (this.#count > 0) this.cross();
    else this.#native.flush();
  }

  /** Whether what is sent in the next turn is collected: so it is if it pays, and keeps nothing back for long. */
  #learn() {
    const isLong = now() - this.#since > LONG_TURN_MS;
    this.#collects = this.#sent >= (isLong ? MANY_MESSAGES : SEVERAL_MESSAGES);
    this.#sent = 0;
  }

  /** Runs `handle`; what it sends leaves when it is done. */
  during(handle) {
    const planned = this.#planned;
    this.#planned = true;
    try {
      return handle();
    } finally {
      this.leave();
      this.#planned = planned;
    }
  }

  /** The server ends: nothing is sent any more. */
  close() {
    this.leave();
    this.#forgetExit();
  }

  /** Sees to it that the native side is called by the end of the turn. */
  plan() {
    if (this.#planned) return;
    this.#planned = true;
    process.nextTick(this.#leave);
  }
}

module.exports = { Departures };
