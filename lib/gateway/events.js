'use strict';

const { clearTimeout, setTimeout } = require('node:timers');

/**
 * After as much silence the head goes out if it hasn't, and a comment, so that nothing in between takes the connection
 * for dead.
 */
const SILENCE_MS = 15_000;

const HEAD = Object.freeze({
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache',
  // nginx buffers a response unless a header says otherwise.
  'X-Accel-Buffering': 'no',
});

/**
 * An answer as server-sent events (WHATWG HTML, section 9.2). Nothing is sent before the first one, or the first
 * silence.
 */
class EventStream {
  #exchange;
  #route;
  #timer;
  #hasBegun = false;

  constructor(exchange, route) {
    this.#exchange = exchange;
    this.#route = route;
    // Each event is to leave at once, not with the next one.
    exchange.req.socket.setNoDelay(true);
    this.#timer = setTimeout(() => this.#onSilence(), SILENCE_MS);
  }

  /** Whether the head is out, so that no other answer can be given any more. */
  get hasBegun() {
    return this.#hasBegun;
  }

  /** Sends what a worker gave. Resolves when the client can take more. */
  send(data) {
    const type = this.#route.namesEvents ? data?.type : undefined;
    return this.#write(type, data);
  }

  /** Sends an error instead of what was to come, and ends. */
  fail({ body }) {
    this.#write('error', body);
    this.#end('');
  }

  /** Everything was sent. */
  end() {
    this.#begin();
    this.#end(this.#route.endsWithDone ? 'data: [DONE]\n\n' : '');
  }

  /** No more comments. */
  close() {
    clearTimeout(this.#timer);
  }

  #write(type, data) {
    this.#begin();
    this.#timer.refresh();
    // A name that has more than one line would be more than a name.
    const name = typeof type === 'string' && /^[^\r\n\0]+$/.test(type) ? `event: ${type}\n` : '';
    return this.#exchange.write(`${name}data: ${JSON.stringify(data ?? null)}\n\n`);
  }

  #end(text) {
    this.close();
    this.#exchange.end(text);
  }

  #begin() {
    if (this.#hasBegun || this.#exchange.isGone) return;
    this.#hasBegun = true;
    this.#exchange.writeHead(200, HEAD);
  }

  #onSilence() {
    this.#begin();
    this.#exchange.ping(': ping\n\n');
    this.#timer.refresh();
  }
}

module.exports = { EventStream };
