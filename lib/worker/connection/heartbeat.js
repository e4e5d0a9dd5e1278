'use strict';

// Heartbeats, and the judgement that a connection is lost: a heartbeat that was written is answered within one
// interval, or the connection is lost. Time in which this thread didn't run does not count as the peer's silence.

const { MAX_DELAY_MS, monotonicMs } = require('../../time/clock.js');
const { startTimer } = require('../../time/timers.js');

/** An ack is never called late before this, however short the interval, in ms. */
const LEAST_PATIENCE_MS = 5_000;
/** A timer that fires later than this, in ms, says that this thread stood still: suspended, or kept busy. */
const OVERSLEPT_MS = 1_000;

class Heartbeat {
  #intervalMs;
  #patienceMs;
  #send;
  #lastProgress;
  #lost;
  /** Heartbeats that wait for their ack: `{ timestamp, sentAt, flushedAt }`, in order. */
  #unanswered = [];
  #ticking;
  #stopCheck = () => {};
  #checkDue = 0;
  /** Nothing that happened before this counts as silence, on the monotonic clock. */
  #awakeSince = 0;
  #stopped = false;

  /**
   * @param {number} intervalMs
   * @param send sends a heartbeat: `(timestamp, onFlushed)`
   * @param lastProgress when the socket last took something
   * @param lost called once, when an ack is late
   */
  constructor(intervalMs, { send, lastProgress, lost }) {
    this.#intervalMs = Math.min(intervalMs, MAX_DELAY_MS);
    this.#patienceMs = Math.max(intervalMs, LEAST_PATIENCE_MS);
    this.#send = send;
    this.#lastProgress = lastProgress;
    this.#lost = lost;
    this.#ticking = setInterval(() => this.#beat(), this.#intervalMs);
  }

  /** A `heartbeat_ack` came, with the timestamp that it echoes. */
  answered(timestamp) {
    const index = this.#unanswered.findIndex((beat) => beat.timestamp === timestamp);
    // One that echoes nothing of ours answers the oldest.
    this.#unanswered.splice(0, Math.max(index, 0) + 1);
    this.#armCheck();
  }

  stop() {
    this.#stopped = true;
    clearInterval(this.#ticking);
    this.#stopCheck();
  }

  #beat() {
    const beat = { timestamp: new Date().toISOString(), sentAt: monotonicMs(), flushedAt: null };
    this.#unanswered.push(beat);
    this.#send(beat.timestamp, () => {
      beat.flushedAt = monotonicMs();
    });
    if (this.#unanswered.length === 1) this.#armCheck();
  }

  /** While the heartbeat itself waits to be written, all that the peer takes is a sign of life. */
  #dueOf(beat) {
    const since = beat.flushedAt ?? Math.max(beat.sentAt, this.#lastProgress());
    return Math.max(since, this.#awakeSince) + this.#patienceMs;
  }

  #armCheck() {
    this.#stopCheck();
    if (this.#stopped || this.#unanswered.length === 0) return;
    this.#checkDue = this.#dueOf(this.#unanswered[0]);
    this.#stopCheck = startTimer(this.#checkDue - monotonicMs(), () => this.#check());
  }

  #check() {
    const now = monotonicMs();
    if (now - this.#checkDue > OVERSLEPT_MS) this.#awakeSince = now;
    // What came meanwhile waits in the socket, and is read before anything is judged: timers run before that in a turn.
    const oldest = this.#unanswered[0];
    setImmediate(() => {
      if (this.#stopped || this.#unanswered[0] !== oldest) return;
      if (this.#dueOf(oldest) > monotonicMs()) this.#armCheck();
      else this.#lost();
    });
  }
}

module.exports = { Heartbeat };
