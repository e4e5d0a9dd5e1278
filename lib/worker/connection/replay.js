'use strict';

// The chunks that are kept for a resume: what was sent isn't yet what arrived. Bounded for each stream and in all.

/** How much of each stream is kept, in bytes of its messages' text. */
const STREAM_BYTES = 8 * 1024 * 1024;
/** How much is kept of all streams together, in bytes. */
const TOTAL_BYTES = 64 * 1024 * 1024;

/** The last chunks of one stream, by their `seq`. */
class KeptChunks {
  #chunks = [];
  #head = 0;
  bytes = 0;

  /** The chunks that are kept, oldest first, each with its `seq`, its `text` and its size in `bytes`. */
  get list() {
    return this.#chunks.slice(this.#head);
  }

  get oldestSeq() {
    return this.#chunks[this.#head]?.seq;
  }

  push(chunk) {
    this.#chunks.push(chunk);
    this.bytes += chunk.bytes;
  }

  /** Removes the oldest chunk and returns its size, in bytes. */
  dropOldest() {
    const { bytes } = this.#chunks[this.#head];
    this.#chunks[this.#head++] = undefined;
    this.bytes -= bytes;
    // Moving what is left is paid for by what has been removed since the last time.
    if (this.#head > 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
    return bytes;
  }
}

/** The kept chunks of all streams. A stream is any object; it is the key. */
class ReplayBuffer {
  #streams = new Map();
  #totalBytes = 0;

  /**
   * Keeps a chunk, and lets go of older ones where there are too many: the stream's own, then those of the largest
   * stream.
   *
   * @returns the streams that have lost chunks by it
   */
  add(stream, chunk) {
    const kept = this.#streams.get(stream) ?? new KeptChunks();
    this.#streams.set(stream, kept);
    kept.push(chunk);
    this.#totalBytes += chunk.bytes;
    const shortened = new Set();
    while (kept.bytes > STREAM_BYTES) this.#shorten(stream, shortened);
    while (this.#totalBytes > TOTAL_BYTES) this.#shorten(this.#largest(), shortened);
    return shortened;
  }

  /**
   * The chunks of a stream from `nextSeq` on, and lets go of those before it, which have arrived.
   *
   * @param {number} endSeq the number after the last chunk's
   * @returns undefined if one of them is no longer kept
   */
  from(stream, nextSeq, endSeq) {
    const kept = this.#streams.get(stream);
    while (kept?.oldestSeq < nextSeq) this.#totalBytes -= kept.dropOldest();
    if (nextSeq === endSeq) return [];
    return kept?.oldestSeq === nextSeq ? kept.list : undefined;
  }

  /** The stream of which a chunk with this text is kept, or undefined. */
  streamOf(text) {
    for (const [stream, kept] of this.#streams) {
      if (kept.list.some((chunk) => chunk.text === text)) return stream;
    }
    return undefined;
  }

  forget(stream) {
    this.#totalBytes -= this.#streams.get(stream)?.bytes ?? 0;
    this.#streams.delete(stream);
  }

  #shorten(stream, shortened) {
    this.#totalBytes -= this.#streams.get(stream).dropOldest();
    shortened.add(stream);
  }

  #largest() {
    let largest;
    for (const [stream, { bytes }] of this.#streams) {
      if (largest === undefined || bytes > this.#streams.get(largest).bytes) largest = stream;
    }
    return largest;
  }
}

module.exports = { ReplayBuffer };
