'use strict';

// One run of a worker, from `run()` until it settles: the program's side of the connection.

const { describeThrown, reviveError } = require('./errors.js');
const { startConnection } = require('./link.js');
const { isObject, secretsOf } = require('./options.js');
const { RequestRun } = require('./request-run.js');
const { SendWindow } = require('./send-window.js');

class Run {
  #worker;
  #options;
  #link;
  /** Positive while the worker is registered: which registration it is. Both threads see it. */
  #registration = new Int32Array(new SharedArrayBuffer(4));
  #window = new SendWindow();
  /** Requests whose handlers haven't returned, by ticket. */
  #requests = new Map();
  /** What to call when an update is decided, by id. */
  #updates = new Map();
  #nextUpdate = 1;
  #settle;
  #ended = false;

  draining = false;
  /** Resolves, with the Error that `run()` rejects with or with nothing, when all is over. */
  over;

  /**
   * @param worker what the run needs of its worker: `options`, `capabilities`, `handlersRunning`, `stateChanged(state,
   *   details)`, `message(type, text)`, `returnedLate()`
   */
  constructor(worker) {
    this.#worker = worker;
    this.#options = worker.options;
    this.over = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const config = this.#connectionConfig();
    this.#link = startConnection(
      config,
      this.#options.isolate,
      (message) => this.#receive(message),
      (error) => this.#end(error),
    );
  }

  get registered() {
    return Atomics.load(this.#registration, 0) > 0;
  }

  /** Sends a message to the connection. */
  post(message) {
    if (!this.#ended) this.#link.post(message);
  }

  send(text) {
    this.post({ type: 'send', text, registration: Atomics.load(this.#registration, 0) });
  }

  /**
   * Resolves when the server has taken the capabilities, or they count from the next registration; else with its
   * refusal.
   */
  update(capabilities) {
    return new Promise((resolve) => {
      const id = this.#nextUpdate++;
      this.#updates.set(id, resolve);
      this.post({ type: 'update', id, capabilities });
    });
  }

  drain(reason) {
    if (!this.draining && !this.#ended) {
      this.draining = true;
      this.post({ type: 'drain', reason });
      this.#worker.stateChanged('draining', {});
    }
    return this.over;
  }

  close() {
    this.post({ type: 'close' });
    return this.over;
  }

  /** What the connection has to know, as plain data. */
  #connectionConfig() {
    const { url, workerId, workerName, authToken, headers, tls, proxy, reconnect, drainTimeoutMs } = this.#options;
    const { capabilities, handlersRunning } = this.#worker;
    const asksToken = typeof authToken === 'function';
    const asksCapabilities = typeof capabilities === 'function';
    return {
      url: url.href,
      urlForLogs: `${url.protocol}//${url.host}${url.pathname}`,
      workerId,
      workerName,
      headers,
      tls,
      proxy,
      reconnect,
      drainTimeoutMs,
      asksToken,
      token: asksToken ? undefined : authToken,
      asksCapabilities,
      capabilities: asksCapabilities ? undefined : serialiseCapabilities(capabilities),
      secrets: secretsOf(this.#options),
      running: handlersRunning,
      shared: this.#registration,
    };
  }

  #receive(message) {
    switch (message.type) {
      case 'state':
        return this.#onState(message);
      case 'request':
        return this.#onRequest(message);
      case 'abort':
        return this.#requests.get(message.ticket)?.abort(message.code, message.message);
      case 'message':
        return this.#worker.message(message.messageType, message.text);
      case 'asked':
        return this.#answer(message);
      case 'updated':
        return this.#onUpdated(message);
      case 'flow':
        return this.#window.report(message);
      case 'log':
        return this.#options.logger[message.level](message.message, message.context);
      case 'ended':
        return this.#end(reviveError(message.error));
      default:
        return undefined;
    }
  }

  /** While it drains a worker is draining, however its connection comes and goes. */
  #onState({ state, attempt, delayMs, error }) {
    if (this.draining) return;
    const details = {};
    if (attempt !== undefined) details.attempt = attempt;
    if (delayMs !== undefined) details.delayMs = delayMs;
    if (error !== undefined) details.error = reviveError(error);
    this.#worker.stateChanged(state, details);
  }

  #onRequest(message) {
    const request = JSON.parse(message.text);
    const { requestId } = request;
    const run = new RequestRun(message, (said) => this.#fromRequest(said), this.#window);
    this.#requests.set(message.ticket, run);
    this.#worker.handlersRunning += 1;
    run.run(this.#options.handler, request, (thrown) => {
      this.#options.logger.error('Error in request handler', { requestId, error: describeThrown(thrown) });
    });
  }

  #fromRequest(message) {
    if (message.type !== 'returned') {
      this.post(message);
      return;
    }
    this.#requests.delete(message.ticket);
    this.#worker.handlersRunning -= 1;
    if (this.#ended) this.#worker.returnedLate();
    else this.post(message);
  }

  /** Asks the application's functions for what a registration needs. */
  async #answer({ id, token, capabilities }) {
    // First a sign that this thread is there at all.
    this.post({ type: 'answer', id, received: true });
    const answer = { type: 'answer', id };
    try {
      if (token) answer.token = await askToken(this.#options.authToken);
      if (capabilities) answer.capabilities = await askCapabilities(this.#worker.capabilities);
    } catch (error) {
      answer.error = describeThrown(error);
    }
    this.post(answer);
  }

  #onUpdated({ id, error }) {
    this.#updates.get(id)?.(error);
    this.#updates.delete(id);
  }

  async #end(error) {
    if (this.#ended) return;
    this.#ended = true;
    for (const id of [...this.#updates.keys()]) this.#onUpdated({ id });
    for (const request of this.#requests.values()) request.abort('DISCONNECTED', 'The worker has closed');
    Atomics.store(this.#registration, 0, 0);
    await this.#link.stop();
    this.#settle(error);
  }
}

async function askToken(authToken) {
  const token = await authToken();
  if (token !== undefined && typeof token !== 'string') throw new TypeError('options.authToken must return a string');
  return token;
}

async function askCapabilities(ask) {
  const capabilities = await ask();
  if (!isObject(capabilities)) throw new TypeError('options.capabilities must return an object');
  return serialiseCapabilities(capabilities);
}

/** Capabilities as they cross threads, and the one member that the worker itself heeds. */
function serialiseCapabilities(capabilities) {
  const text = JSON.stringify(capabilities);
  if (text === undefined) throw new TypeError('capabilities must be an object that JSON can hold');
  const { maxConcurrentRequests } = capabilities;
  return { text, maxConcurrentRequests: typeof maxConcurrentRequests === 'number' ? maxConcurrentRequests || 0 : 0 };
}

module.exports = { Run, serialiseCapabilities };
