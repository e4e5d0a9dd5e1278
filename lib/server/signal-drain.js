'use strict';

const DEFAULT_SIGNALS = Object.freeze(['SIGTERM', 'SIGINT']);

/** From a server's start to its stop: the first signal has it drain and stop, and a second one stop at once. */
class SignalDrain {
  #server;
  #signals;
  #isDraining = false;
  #onSignal = () => {
    const isFirst = !this.#isDraining;
    this.#isDraining = true;
    if (isFirst) this.#server.drain().then(() => this.#server.stop());
    else this.#server.stop();
  };

  /** @param signals as `readDrainOnSignals` returns them */
  constructor(server, signals) {
    this.#server = server;
    this.#signals = signals;
  }

  listen() {
    this.#isDraining = false;
    for (const signal of this.#signals) process.on(signal, this.#onSignal);
  }

  close() {
    for (const signal of this.#signals) process.off(signal, this.#onSignal);
  }
}

module.exports = { DEFAULT_SIGNALS, SignalDrain };
