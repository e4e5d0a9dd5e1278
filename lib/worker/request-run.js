'use strict';

// One call of the handler: its context, its signal, and what becomes of what it yields, returns or throws.

const { errorJson } = require('./errors.js');
const { monotonicMs } = require('../time/clock.js');
const { startTimer } = require('../time/timers.js');

/** A generator that always has something at hand lets the event loop turn after this time, in ms. */
const TURN_MS = 10;

/** The cases in which a handler's signal aborts and yet its result is wanted: it has a moment to finish. */
const STILL_WANTED = new Set(['DRAIN_TIMEOUT']);

class RequestRun {
  #ticket;
  #deadline;
  #stream;
  #post;
  #window;
  #controller = new AbortController();
  /** Aborts when further values are not wanted any more: the generator is ended. */
  #unwanted = new AbortController();
  #stopTimer = () => {};
  #over = false;

  /**
   * @param message the connection's `request`
   * @param post sends a message to the connection
   * @param {import('./send-window.js').SendWindow} window
   */
  constructor({ ticket, deadline, stream }, post, window) {
    this.#ticket = ticket;
    this.#deadline = deadline;
    this.#stream = stream;
    this.#post = post;
    this.#window = window;
  }

  /** Aborts the handler's signal with an Error of that code. */
  abort(code, message) {
    if (this.#over || this.#unwanted.signal.aborted) return;
    const error = Object.assign(new Error(message), { code });
    if (!this.#controller.signal.aborted) this.#controller.abort(error);
    if (STILL_WANTED.has(code)) return;
    this.#unwanted.abort(error);
    // A handler that goes on all the same keeps no process alive by the time that it had.
    this.#stopTimer();
  }

  /**
   * Calls the handler and reports the outcome to the connection.
   *
   * @param report called with what the handler threw, unless it had been aborted
   */
  async run(handler, request, report) {
    if (this.#deadline !== Infinity) {
      this.#stopTimer = startTimer(this.#deadline - monotonicMs(), () =>
        this.abort('TIMEOUT', 'The time for this request is up'),
      );
    }
    let end;
    try {
      const value = await this.#value(await handler(request.payload, this.#contextOf(request)));
      end = { end: 'request_result', data: member('data', value) };
    } catch (thrown) {
      end = { end: 'request_error', data: `"error":${errorJson(thrown)}` };
      if (!this.#controller.signal.aborted) report(thrown);
    }
    this.#over = true;
    this.#stopTimer();
    this.#post({ type: 'returned', ticket: this.#ticket, ...end });
  }

  #contextOf({ requestId, attempt, model, category, trace }) {
    return {
      requestId,
      attempt,
      model,
      category,
      trace,
      signal: this.#controller.signal,
      remainingMs: () => Math.max(0, this.#deadline - monotonicMs()),
      progress: (data) => {
        const text = member('data', data);
        if (!this.#over) this.#post({ type: 'progress', ticket: this.#ticket, data: text });
      },
    };
  }

  /** The value that a handler's return value stands for: of an iterator, what it returns in the end. */
  #value(returned) {
    if (typeof returned?.[Symbol.asyncIterator] === 'function') return this.#consume(returned[Symbol.asyncIterator]());
    if (Object.prototype.toString.call(returned) === '[object Generator]') return this.#consume(returned);
    return returned;
  }

  async #consume(iterator) {
    let turned = monotonicMs();
    for (;;) {
      if (this.#stream) await this.#window.room(this.#unwanted.signal);
      if (monotonicMs() - turned > TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        turned = monotonicMs();
      }
      if (this.#unwanted.signal.aborted) {
        await end(iterator);
        throw this.#unwanted.signal.reason;
      }
      const { done, value } = await iterator.next();
      if (done) return value;
      if (this.#stream && !this.#unwanted.signal.aborted) await this.#chunk(iterator, value);
    }
  }

  async #chunk(iterator, value) {
    let data;
    try {
      data = member('data', value);
    } catch (error) {
      await end(iterator);
      throw error;
    }
    const bytes = data === undefined ? 0 : Buffer.byteLength(data);
    this.#window.posted(bytes);
    this.#post({ type: 'chunk', ticket: this.#ticket, data, bytes });
  }
}

/** Ends an iterator, so that its `finally` blocks run. What they throw is no news. */
async function end(iterator) {
  try {
    await iterator.return?.();
  } catch {
    // The request has ended with another error already.
  }
}

/** A member with its key as JSON text, or undefined for a value that is undefined. Throws for what JSON can't hold. */
function member(key, value) {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`A ${typeof value} can't be sent as JSON`);
  return `"${key}":${text}`;
}

module.exports = { RequestRun };
