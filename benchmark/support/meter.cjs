'use strict';

// What a server process costs, from the operating system's own accounting: CPU of the process and of its JavaScript thread,
// resident memory now and at its peak, and how long the event loop was kept from turning.

const { readFileSync } = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { setTimeout } = require('node:timers/promises');

const LINUX = process.platform === 'linux';
/** How often the event loop is looked at, in milliseconds. */
const RESOLUTION_MS = 1;

/** CPU time of the main thread in microseconds. Only Linux tells (the main thread's id is the process's). */
function mainThreadMicros() {
  if (!LINUX) return undefined;
  const [nanos] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ');
  return Number(nanos) / 1000;
}

function peakRss() {
  if (!LINUX) return process.resourceUsage().maxRSS * 1024;
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'));
  return Number(kilobytes) * 1024;
}

class Meter {
  start({ loopDelay = false } = {}) {
    this.delay = loopDelay ? monitorEventLoopDelay({ resolution: RESOLUTION_MS }) : undefined;
    this.delay?.enable();
    this.thread = mainThreadMicros();
    this.cpu = process.cpuUsage();
  }

  async stop() {
    const { user, system } = process.cpuUsage(this.cpu);
    const jsMicros = this.thread === undefined ? undefined : mainThreadMicros() - this.thread;
    if (this.delay !== undefined) {
      // The monitor learns of a delay when its timer is late, and that may be now.
      await setTimeout(5 * RESOLUTION_MS);
      this.delay.disable();
    }
    return {
      cpuMicros: user + system,
      userMicros: user,
      systemMicros: system,
      jsMicros,
      // The monitor's values contain its own resolution.
      loopDelayMs: this.delay && Math.max(0, this.delay.max / 1e6 - RESOLUTION_MS),
      rss: process.memoryUsage.rss(),
      peakRss: peakRss(),
    };
  }

  /** Resident memory after everything that nobody refers to is gone. Needs --expose-gc. */
  async settledRss() {
    for (let turn = 0; turn < 3; turn += 1) {
      globalThis.gc();
      await new Promise(setImmediate);
    }
    return process.memoryUsage.rss();
  }
}

module.exports = { Meter };
