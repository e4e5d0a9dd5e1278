'use strict';

// The worker as a program sees it. Handlers, and whatever else is the application's, run here, on the program's thread;
// the connection lives elsewhere (see connection/).

const { EventEmitter } = require('node:events');
const { MAX_DELAY_MS } = require('../time/clock.js');
const { MessageHandlers, callSafely } = require('./message-handlers.js');
const { isObject, readOptions } = require('./options.js');
const { Run, serialiseCapabilities } = require('./run.js');

class Worker extends EventEmitter {
  #options;
  #state = 'idle';
  #messages;
  /** As the options have them, or the last update. */
  #capabilities;
  /** The run that is under way, or null. */
  #run = null;
  /** Handlers that haven't returned, those of earlier runs included. */
  #handlersRunning = 0;

  constructor(options) {
    super();
    this.#options = readOptions(options);
    this.#capabilities = this.#options.capabilities;
    this.#messages = new MessageHandlers(this.#options.logger);
  }

  get state() {
    return this.#state;
  }

  get workerId() {
    return this.#options.workerId;
  }

  async run() {
    if (this.#run !== null) throw new Error('The worker is already running');
    const run = new Run(this.#sideOfRun());
    this.#run = run;
    // A timer keeps the process alive while the worker runs.
    const keepAlive = setInterval(() => {}, MAX_DELAY_MS);
    const forgetSignals = this.#listenToSignals(run);
    this.#setState('connecting', { attempt: 1, delayMs: 0 });
    const error = await run.over;
    forgetSignals();
    clearInterval(keepAlive);
    this.#run = null;
    this.#setState('closed', error === undefined ? {} : { error });
    if (error !== undefined) throw error;
  }

  send(message) {
    if (!this.#run?.registered) return false;
    const text = JSON.stringify(message);
    if (text === undefined) throw new TypeError('message must be a value that JSON can hold');
    this.#run.send(text);
    return true;
  }

  onMessage(type, handler) {
    return this.#messages.add(type, handler);
  }

  async update(capabilities) {
    if (!isObject(capabilities)) throw new TypeError('capabilities must be an object');
    const serialised = serialiseCapabilities(capabilities);
    const refusal = await this.#run?.update(serialised);
    if (refusal !== undefined) throw new Error(refusal);
    this.#capabilities = JSON.parse(serialised.text);
  }

  async drain() {
    await this.#run?.drain();
  }

  async close() {
    await this.#run?.close();
  }

  /** What a run sees of its worker. */
  #sideOfRun() {
    const worker = this;
    return {
      options: this.#options,
      get capabilities() {
        return worker.#capabilities;
      },
      get handlersRunning() {
        return worker.#handlersRunning;
      },
      set handlersRunning(count) {
        worker.#handlersRunning = count;
      },
      stateChanged: (state, details) => this.#setState(state, details),
      message: (type, text) => this.#messages.deliver(type, text),
      // A handler of an earlier run has returned: its place is free for the run that is under way.
      returnedLate: () => this.#run?.post({ type: 'returned', ticket: 0 }),
    };
  }

  /** The first signal drains, a second one closes. @returns a function that stops listening */
  #listenToSignals(run) {
    let signalled = false;
    const onSignal = (signal) => {
      if (signalled) run.close();
      else run.drain(signal);
      signalled = true;
    };
    for (const signal of this.#options.handleSignals) process.on(signal, onSignal);
    return () => {
      for (const signal of this.#options.handleSignals) process.removeListener(signal, onSignal);
    };
  }

  /** Each listener is called, whatever the ones before it did. */
  #setState(state, details) {
    this.#state = state;
    for (const listener of this.rawListeners('state')) {
      callSafely(
        () => listener.call(this, state, details),
        (error) => this.#options.logger.error('Error in state listener', { state, error }),
      );
    }
  }
}

module.exports = { Worker };
