'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { MAX_DELAY_MS, now } = require('../time/clock.js');
const { reasonOf, stopListening } = require('../requests/signals.js');

/**
 * Workers come back within this time after the server has gone, each at a moment of its own, so that they don't come at
 * once.
 */
const MAX_RECONNECT_MS = 5_000;
/** What `Retry-After` says to workers that would come meanwhile, in seconds. */
const RETRY_AFTER_S = 5;

/**
 * A server that leaves in peace: workers are notified, new requests are refused, and the caller learns when nothing is
 * under way any more.
 */
class Drain {
  #timeoutMs;
  #send;
  #remaining;
  /** Calls of `drain()` that wait: { resolve, end }. */
  #waiting = new Set();
  /** Workers that were notified, by their sessions. */
  #told = new WeakSet();

  /**
   * @param timeoutMs that of the first call, which workers are sent
   * @param {(record: object, text: string) => boolean} send
   * @param {() => number} remaining how many requests are under way
   */
  constructor({ timeoutMs, send, remaining }) {
    this.#timeoutMs = timeoutMs;
    this.#send = send;
    this.#remaining = remaining;
  }

  /** Sends a worker, once, when the server goes and when it may come back. */
  tell(record) {
    if (!record.speaksRequests || this.#told.has(record)) return;
    this.#told.add(record);
    const timeout = this.#timeoutMs === Infinity ? '' : `"timeoutMs":${Math.ceil(this.#timeoutMs)},`;
    const reconnectAfterMs = Math.floor(Math.random() * (MAX_RECONNECT_MS + 1));
    this.#send(record, `{"type":"server_draining",${timeout}"reconnectAfterMs":${reconnectAfterMs}}`);
  }

  /** Until nothing is under way, or the time is up. Rejects with the signal's reason if that aborts. */
  wait({ timeoutMs, signal }) {
    const remaining = this.#remaining();
    if (remaining === 0 || timeoutMs === 0) return Promise.resolve(resultOf(remaining));
    return new Promise((resolve, reject) => {
      let timer;
      const until = now() + timeoutMs;
      const end = () => {
        clearTimeout(timer);
        if (signal !== undefined) stopListening(signal, onAbort);
        this.#waiting.delete(waiting);
      };
      const onAbort = () => {
        end();
        reject(reasonOf(signal));
      };
      const onTime = () => {
        if (now() < until) {
          timer = setTimeout(onTime, Math.min(Math.ceil(until - now()), MAX_DELAY_MS));
          return;
        }
        end();
        resolve(resultOf(this.#remaining()));
      };
      const waiting = { resolve, end };
      signal?.addEventListener('abort', onAbort);
      this.#waiting.add(waiting);
      if (timeoutMs !== Infinity) onTime();
    });
  }

  /** Something that was under way has ended. */
  onLess() {
    if (this.#waiting.size > 0 && this.#remaining() === 0) this.end();
  }

  /** Resolves all calls that wait with how things stand. */
  end() {
    const result = resultOf(this.#remaining());
    for (const { resolve, end } of [...this.#waiting]) {
      end();
      resolve(result);
    }
  }
}

const resultOf = (remaining) => ({ drained: remaining === 0, remaining });

module.exports = { Drain, RETRY_AFTER_S };
