'use strict';

// What waits to be written to one socket. Messages go out in order, but for urgent ones, which go before all that
// hasn't begun yet: a heartbeat doesn't wait behind megabytes of results. A large message leaves in fragments, a few at
// a time, so that it can be seen whether the peer takes anything.

const { monotonicMs } = require('../../time/clock.js');

/** How much is handed to the socket at a time, in bytes. */
const WINDOW_BYTES = 256 * 1024;
/** The size of a fragment, in bytes. Messages beyond the window are sent in fragments. */
const FRAGMENT_BYTES = 64 * 1024;

class Outbox {
  #ws;
  #onProgress;
  #queue = [];
  /** Where in the queue the next message is: what is before it has left. */
  #head = 0;
  /** The message of which some fragments have left: `{ data, offset, onHanded, onFlushed }`. */
  #begun = null;
  #queuedBytes = 0;
  #unflushedBytes = 0;
  #closed = false;
  #lastProgress = monotonicMs();
  #largest = { text: '', bytes: 0 };

  /** @param onProgress called after the socket has taken something */
  constructor(ws, onProgress) {
    this.#ws = ws;
    this.#onProgress = onProgress;
  }

  /** Bytes that the socket hasn't taken yet. */
  get waitingBytes() {
    return this.#queuedBytes + this.#unflushedBytes;
  }

  /** When the socket last took something, on the monotonic clock. */
  get lastProgress() {
    return this.#lastProgress;
  }

  /** The largest message of which anything has been handed to the socket: its `text`, and its size in `bytes`. */
  get largest() {
    return this.#largest;
  }

  /**
   * Enqueues a text message.
   *
   * @param onHanded called when all of it has been handed to the socket
   * @param onFlushed called when the socket has taken all of it
   */
  push(text, { urgent = false, onHanded, onFlushed } = {}) {
    if (this.#closed) return;
    const message = { text, bytes: Buffer.byteLength(text), onHanded, onFlushed };
    this.#queuedBytes += message.bytes;
    if (!urgent) this.#queue.push(message);
    else if (this.#head > 0) this.#queue[--this.#head] = message;
    else this.#queue.unshift(message);
    this.#handOver();
  }

  /** Forgets what hasn't been handed to the socket; nothing is called back any more. */
  close() {
    this.#closed = true;
    this.#queue = [];
    this.#begun = null;
  }

  #handOver() {
    while (!this.#closed && this.#unflushedBytes < WINDOW_BYTES) {
      if (this.#begun !== null) this.#sendFragment();
      else if (this.#head < this.#queue.length) this.#begin(this.#next());
      else return;
    }
  }

  #next() {
    const message = this.#queue[this.#head];
    this.#queue[this.#head++] = undefined;
    // Moving what is left is paid for by what has left since the last time.
    if (this.#head * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    return message;
  }

  #begin({ text, bytes, onHanded, onFlushed }) {
    if (bytes > this.#largest.bytes) this.#largest = { text, bytes };
    if (bytes > WINDOW_BYTES) {
      this.#begun = { data: Buffer.from(text), offset: 0, onHanded, onFlushed };
      return;
    }
    this.#write(text, bytes, true, onFlushed);
    onHanded?.();
  }

  #sendFragment() {
    const { data, offset, onHanded, onFlushed } = this.#begun;
    const fragment = data.subarray(offset, offset + FRAGMENT_BYTES);
    const last = offset + fragment.length === data.length;
    this.#begun.offset += fragment.length;
    if (last) this.#begun = null;
    this.#write(fragment, fragment.length, last, last ? onFlushed : undefined);
    if (last) onHanded?.();
  }

  #write(data, bytes, fin, onFlushed) {
    this.#queuedBytes -= bytes;
    this.#unflushedBytes += bytes;
    this.#ws.send(data, { binary: false, fin }, () => {
      if (this.#closed) return;
      this.#unflushedBytes -= bytes;
      this.#lastProgress = monotonicMs();
      onFlushed?.();
      this.#handOver();
      this.#onProgress();
    });
  }
}

module.exports = { Outbox };
