'use strict';

// What this worker can do, as it registers with it, and the changes of that.

class Updates {
  #log;
  #answer;
  #current;
  /** Sent, and not yet acknowledged: acks come in the order of the updates. */
  #sent = [];
  /** Asked for while the answer to a registration is awaited. */
  #queued = [];
  #registering = false;
  #session = null;

  /** Whether an update stands in for what the application gave at the beginning. */
  replaced = false;

  /**
   * @param capabilities `{ text, maxConcurrentRequests }`, or undefined if the application is asked for them
   * @param answer called with `(id, error | undefined)` when an update is decided
   */
  constructor(capabilities, log, answer) {
    this.#current = capabilities ?? { text: '', maxConcurrentRequests: 0 };
    this.#log = log;
    this.#answer = answer;
  }

  /**
   * How many handlers may run at once. While a change is under way the larger number counts: the server may act on
   * either.
   */
  get maxConcurrentRequests() {
    return Math.max(
      this.#current.maxConcurrentRequests,
      ...this.#sent.map((update) => update.capabilities.maxConcurrentRequests),
    );
  }

  /** What the application said when it was asked. */
  asked(capabilities) {
    if (!this.replaced) this.#current = capabilities;
  }

  /** The JSON text of the capabilities to register with. */
  startRegistration() {
    this.#registering = true;
    return this.#current.text;
  }

  /** An update: `{ id, capabilities }`. */
  ask(update) {
    if (this.#registering) this.#queued.push(update);
    else if (this.#session === null) this.#accept(update);
    else if (!this.#session.features.request) {
      this.#log('warn', 'The server takes no updates: these capabilities count from the next registration', {});
      this.#accept(update);
    } else {
      this.#sent.push(update);
      this.#session.push(`{"type":"worker_update","capabilities":${update.capabilities.text}}`);
    }
  }

  registered(session) {
    this.#registering = false;
    this.#session = session;
    for (const update of this.#queued.splice(0)) this.ask(update);
  }

  /** A `worker_update_ack`. */
  acknowledged({ success, error }) {
    const update = this.#sent.shift();
    if (update === undefined) return;
    if (success === true) this.#accept(update);
    else this.#answer(update.id, typeof error === 'string' ? error : 'The server refused the update');
  }

  /** What wasn't decided counts from the next registration. */
  disconnected() {
    this.#registering = false;
    this.#session = null;
    for (const update of [...this.#sent.splice(0), ...this.#queued.splice(0)]) this.#accept(update);
  }

  #accept({ id, capabilities }) {
    this.#current = capabilities;
    this.replaced = true;
    this.#answer(id, undefined);
  }
}

module.exports = { Updates };
