'use strict';

// How much of what generators have yielded still waits for the socket, as seen from the program's thread.

const { CHUNK_OVERHEAD_BYTES, WAITING_LIMIT_BYTES } = require('./connection/flow.js');

class SendWindow {
  #postedBytes = 0;
  #takenBytes = 0;
  #waitingBytes = 0;
  #waiters = new Set();

  /** A chunk of this many bytes has been posted to the connection. */
  posted(bytes) {
    this.#postedBytes += bytes + CHUNK_OVERHEAD_BYTES;
  }

  /** The connection's report: how much it has taken from here altogether, and how much the socket has still to take. */
  report({ taken, waiting }) {
    this.#takenBytes = taken;
    this.#waitingBytes = waiting;
    if (this.hasRoom) this.#wakeAll();
  }

  get hasRoom() {
    return this.#postedBytes - this.#takenBytes + this.#waitingBytes < WAITING_LIMIT_BYTES;
  }

  /** Resolves when there is room, or when `signal` aborts. */
  room(signal) {
    if (this.hasRoom || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  #wakeAll() {
    for (const wake of [...this.#waiters]) wake();
  }
}

module.exports = { SendWindow };
