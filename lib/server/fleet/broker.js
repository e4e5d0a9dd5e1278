'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { describeError } = require('../../workers/handlers.js');
const { MAX_DELAY_MS, now } = require('../../time/clock.js');

/** As it was when this was loaded: tests replace it. */
const { nextTick } = process;
/** How long the goodbye may take, in ms: a broker that is away is not waited for. */
const STOP_MS = 500;

/** Resolves after a time that does not keep the process alive. */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

/**
 * Runs a node of a cluster on a broker: what it says is published, what comes is passed to it, and it is called when
 * something is due.
 */
class Broker {
  #node;
  #adapter;
  #timeoutMs;
  #logger;
  #unsubscribe = [];
  #timer = null;
  #timerAt = Infinity;
  #isFlushPlanned = false;
  #onState = null;
  #isOver = false;
  #hasComplained = false;

  constructor({ node, adapter, timeoutMs, logger }) {
    this.#node = node;
    this.#adapter = adapter;
    this.#timeoutMs = timeoutMs;
    this.#logger = logger;
  }

  /** Rejects if the broker can't be subscribed to in time, or another node has this one's id. */
  async start() {
    let timer;
    const isLate = new Promise((resolve, reject) => {
      const message = `The cluster could not be joined within ${this.#timeoutMs} ms`;
      timer = setTimeout(() => reject(new Error(message)), Math.min(Math.ceil(this.#timeoutMs), MAX_DELAY_MS));
    });
    try {
      await Promise.race([this.#join(), isLate]);
    } catch (error) {
      this.#close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #join() {
    for (const channel of this.#node.channels) {
      const unsubscribe = await this.#adapter.subscribe(channel, (data) => this.#receive(channel, data));
      this.#unsubscribe.push(unsubscribe);
      // `start()` has timed out meanwhile.
      if (this.#isOver) this.#close();
    }
    if (this.#isOver) return;
    const hasJoined = new Promise((resolve, reject) => {
      this.#onState = (state) => {
        if (state === 'running') resolve();
        if (state === 'refused') reject(new Error(`Another node of the cluster has the id ${this.#node.nodeId}`));
      };
    });
    this.#node.start(now());
    this.#send();
    await hasJoined;
  }

  #receive(channel, data) {
    if (this.#isOver) return;
    try {
      this.#node.receive(channel, data, now());
    } catch (error) {
      // A node that keeps to the protocol says nothing of the kind.
      this.#complainOnce(() => this.#logger.error('Error in cluster message', { error: describeError(error) }));
    }
    this.#send();
  }

  /** Publishes what is to be sent when the running code is done, so that what is sent in one turn travels together. */
  flush() {
    if (this.#isFlushPlanned || this.#isOver) return;
    this.#isFlushPlanned = true;
    // Behind the callers that go on now, so that what they ask for travels with it.
    nextTick(() => {
      this.#isFlushPlanned = false;
      if (!this.#isOver) this.#send();
    });
  }

  #send() {
    const sendings = this.#node.takeOutgoing(now()).map(({ channel, bytes }) => this.#publish(channel, bytes));
    this.#plan();
    this.#onState?.(this.#node.state);
    return Promise.all(sendings);
  }

  async #publish(channel, bytes) {
    try {
      await this.#adapter.publish(channel, bytes);
    } catch (error) {
      this.#complainOnce(() => this.#logger.warn('Cluster message not published', { error: describeError(error) }));
    }
  }

  /** Once until the next start: a broker that is away would fill the log. */
  #complainOnce(complain) {
    if (this.#hasComplained) return;
    this.#hasComplained = true;
    complain();
  }

  #plan() {
    const dueAt = this.#node.nextDueAt;
    if (dueAt === this.#timerAt) return;
    this.#timerAt = dueAt;
    clearTimeout(this.#timer);
    if (dueAt === Infinity) return;
    const ms = Math.min(Math.max(1, Math.ceil(dueAt - now())), MAX_DELAY_MS);
    this.#timer = setTimeout(() => this.#onTimer(), ms);
    // The server's own handle keeps the process alive, while it runs.
    this.#timer.unref();
  }

  #onTimer() {
    this.#timerAt = Infinity;
    if (this.#isOver) return;
    this.#node.tick(now());
    this.#send();
  }

  /** Says goodbye. It does not wait for a broker that is away. */
  async stop() {
    if (this.#isOver) return;
    // What its requests' ends are to their other nodes leaves before.
    this.#send();
    this.#node.stop();
    await Promise.race([this.#send(), pause(STOP_MS)]);
    this.#close();
    await this.#adapter.close?.();
  }

  #close() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const unsubscribe of this.#unsubscribe.splice(0)) {
      try {
        Promise.resolve(unsubscribe()).catch(() => {});
      } catch {
        // The connection is the caller's, and may be closed already.
      }
    }
  }
}

module.exports = { Broker };
