'use strict';

// Reports to the program's thread how much waits for the socket, so that generators are asked for more only while that
// is little.

/** Generators are asked for more while less than this waits for the socket, in bytes. */
const WAITING_LIMIT_BYTES = 1024 * 1024;
/** What a chunk counts beside its data, so that empty ones don't come in endless numbers. */
const CHUNK_OVERHEAD_BYTES = 128;

class Flow {
  #post;
  #waitingBytes;
  #takenBytes = 0;
  #reported = 0;
  #scheduled = false;

  /** @param waitingBytes how much the socket hasn't taken yet; 0 while there is none */
  constructor(post, waitingBytes) {
    this.#post = post;
    this.#waitingBytes = waitingBytes;
  }

  /** Chunks of this many bytes have come from the program, and wait for the socket from here on. */
  took(bytes) {
    this.#takenBytes += bytes;
    this.#schedule();
  }

  /** The socket has taken something, is gone, or is there again and has old chunks to take. */
  changed() {
    const full = this.#waitingBytes() >= WAITING_LIMIT_BYTES;
    if (full !== this.#reported >= WAITING_LIMIT_BYTES) this.#schedule();
  }

  /** One report for all that happens in a turn of the event loop. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#reported = this.#waitingBytes();
      this.#post({ type: 'flow', taken: this.#takenBytes, waiting: this.#reported });
    });
  }
}

module.exports = { CHUNK_OVERHEAD_BYTES, Flow, WAITING_LIMIT_BYTES };
