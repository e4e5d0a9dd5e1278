'use strict';

const { abortError } = require('./errors.js');

const DONE = Object.freeze({ done: true, value: undefined });
const NO_OP = () => {};

/**
 * The reader's side of a stream: chunks that came and nobody has taken, and readers that wait for one. What the caller gets
 * is its `RequestStream`; the request calls `push`, `end` and `fail`.
 */
class ChunkBuffer {
  /** Chunks with the bytes of their messages, oldest first, from `#head` on. */
  #chunks = [];
  #head = 0;
  #bytes = 0;
  #maxBytes;
  /** Calls of `next` that wait, as { resolve, reject }. */
  #readers = [];
  #hasEnded = false;
  /** What is thrown, once, behind the last chunk. */
  #error = null;

  constructor(maxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the next chunk goes to somebody who waits for it: then its size does not count. */
  get isAwaited() {
    return this.#readers.length > 0;
  }

  /** Takes a chunk in. False if the reader is too far behind for it. */
  push(chunk, bytes) {
    if (this.#hasEnded) return true;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: chunk });
      return true;
    }
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#chunks.push({ chunk, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** No more chunks come; those that are there can still be taken. */
  end() {
    this.#hasEnded = true;
    for (const reader of this.#readers.splice(0)) reader.resolve(DONE);
  }

  /** The same, and the next reader behind the last chunk gets an error. `drops`: nobody gets what is there. */
  fail(error, drops) {
    if (this.#hasEnded) return;
    this.#error = { error };
    if (drops) this.drop();
    const [first] = this.#readers;
    if (first !== undefined) {
      this.#readers.shift();
      first.reject(this.#takeError());
    }
    this.end();
  }

  /** Forgets what nobody has taken. */
  drop() {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  /** The reader has left: it gets nothing more, an error neither. */
  leave() {
    this.#error = null;
    this.drop();
    this.end();
  }

  next() {
    if (this.#head < this.#chunks.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#error !== null) return Promise.reject(this.#takeError());
    if (this.#hasEnded) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  #take() {
    const { chunk, bytes } = this.#chunks[this.#head];
    this.#chunks[this.#head] = undefined;
    this.#head += 1;
    this.#bytes -= bytes;
    // Moving what is left costs no more than it took to put there what is gone.
    if (this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    return chunk;
  }

  #takeError() {
    const { error } = this.#error;
    this.#error = null;
    return error;
  }
}

/** See `index.d.ts`. It is its own, only iterator. */
class RequestStream {
  #request;
  #dispatcher;
  #result;

  /** @param dispatcher `null` if the request ended before it began */
  constructor(request, dispatcher) {
    this.#request = request;
    this.#dispatcher = dispatcher;
    this.#result = request.promise;
    // Who reads the chunks learns of a failure from them, and need not look at `result` as well.
    request.promise.then(undefined, NO_OP);
  }

  get requestId() {
    return this.#request.requestId;
  }

  get worker() {
    const { record, lastRecord, isSettled } = this.#request;
    return (isSettled ? lastRecord : record)?.toInfo() ?? null;
  }

  get result() {
    return this.#result;
  }

  cancel(reason) {
    this.#dispatcher?.abort(this.#request, reason === undefined ? abortError() : reason);
  }

  next() {
    return this.#request.buffer.next();
  }

  async return(value) {
    this.#request.buffer.leave();
    this.cancel();
    return { done: true, value };
  }

  async throw(error) {
    this.#request.buffer.leave();
    this.#dispatcher?.abort(this.#request, error);
    throw error;
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

module.exports = { ChunkBuffer, RequestStream };
