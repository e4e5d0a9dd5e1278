'use strict';

// What the server's process takes, and how long the delivery of messages holds its event loop.

const fs = require('node:fs');
const { performance } = require('node:perf_hooks');

const now = performance.now.bind(performance);

/** For how long the server hands over messages before it lets the event loop turn (docs/ARCHITECTURE.md, I7). */
const SLICE_MS = 1;

const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const HAS_SCHEDSTAT = fs.existsSync(SCHEDSTAT);

/** Milliseconds that this thread has run, to about a tick of the kernel's; where the system doesn't say, the time. */
function threadTime() {
  return HAS_SCHEDSTAT ? Number(fs.readFileSync(SCHEDSTAT, 'latin1').split(' ')[0]) / 1e6 : now();
}

/**
 * Watches how messages come. `message()` is to be called first in every handler.
 *
 * Two things are distinguished. By structure: once the slice is over one message may still be under way, but no second one
 * begins before the callback ends; that holds however slow the machine is. By the clock: the longest time that messages
 * came without a turn of the loop, in processor time of this thread, since a machine that others use as well may let it stand.
 */
class DeliveryGauge {
  #begun = null;
  #late = 0;
  #turnBegun = null;
  #last = 0;
  #callbacks = 0;
  maxLate = 0;
  maxCallbacks = 0;
  maxMessages = 0;
  maxHeldMs = 0;
  maxElapsedMs = 0;
  #messages = 0;

  message() {
    const time = now();
    if (this.#begun === null) {
      this.#begun = time;
      this.#late = 0;
      // Runs when the callback that delivers has returned.
      queueMicrotask(() => {
        this.maxLate = Math.max(this.maxLate, this.#late);
        this.maxMessages = Math.max(this.maxMessages, this.#messages);
        this.#begun = null;
        this.#messages = 0;
      });
    }
    if (this.#turnBegun === null) {
      this.#turnBegun = time;
      const ran = threadTime();
      this.#callbacks = 0;
      // While an immediate waits the loop does not sleep, so that the time until then is work.
      setImmediate(() => {
        const held = this.#last - this.#turnBegun;
        // The processor time may be what the thread did otherwise, at most the time that has passed.
        this.maxHeldMs = Math.max(this.maxHeldMs, Math.min(held, threadTime() - ran));
        this.maxElapsedMs = Math.max(this.maxElapsedMs, held);
        this.maxCallbacks = Math.max(this.maxCallbacks, this.#callbacks);
        this.#turnBegun = null;
      });
    }
    if (this.#messages === 0) this.#callbacks += 1;
    this.#messages += 1;
    if (time - this.#begun > SLICE_MS) this.#late += 1;
    this.#last = time;
  }
}

/** What the open descriptors are: sockets, event queues and so on, by their number. */
function descriptors() {
  const kinds = {};
  for (const name of fs.readdirSync('/proc/self/fd')) {
    let target;
    try {
      target = fs.readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      // The folder itself, which is closed by now.
      continue;
    }
    const kind = target.replace(/:?\[.*/, '').replace(/^\/.*/, 'file');
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** Memory and descriptors after a thorough collection; needs --expose-gc. Where there is no /proc, memory only. */
async function measure() {
  let rss = Infinity;
  for (let i = 0; i < 5; i += 1) {
    global.gc();
    // Finalizers and the allocator's own tidying come with the loop's turns.
    await new Promise((resolve) => setTimeout(resolve, 50));
    rss = Math.min(rss, process.memoryUsage.rss());
  }
  const { heapUsed, external } = process.memoryUsage();
  return { rss, heapUsed, external, descriptors: fs.existsSync('/proc/self/fd') ? descriptors() : {} };
}

module.exports = { DeliveryGauge, SLICE_MS, descriptors, measure };
