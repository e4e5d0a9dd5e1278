'use strict';

// The streams of `<path>/events`: the state when one begins, then once a second what has changed.

const { clearInterval, setInterval } = require('node:timers');

const { HEADERS, sendError } = require('./answers.js');
const { differences } = require('./differences.js');

const MAX_VIEWERS = 100;
/**
 * How often, in ms, it is checked whether the server stops, which no event reports; and how many checks make a second.
 */
const BEAT_MS = 200;
const BEATS_AN_UPDATE = 5;
/** How many updates in a row may come before a viewer has taken all of those before. */
const MAX_UPDATES_BEHIND = 10;
/** How many bytes may wait for a viewer beyond what it got first. */
const MAX_BYTES_BEHIND = 1024 * 1024;
/** How long a browser that was cut off should wait before it comes back, in ms. */
const RETRY_MS = 1_000;

const EVENT_STREAM = Object.freeze({
  ...HEADERS,
  'Content-Type': 'text/event-stream',
  // nginx buffers a response unless this header forbids it.
  'X-Accel-Buffering': 'no',
});

const isOver = (state) => state === 'stopping' || state === 'stopped';
const eventOf = (data) => `data: ${JSON.stringify(data)}\n\n`;

/** Those who watch. While there are none, nothing happens. */
class Viewers {
  #server;
  #status;
  #extras;
  /** By response: how many updates it is behind, and the bytes that may wait for it. */
  #viewers = new Map();
  #timer;
  #beats = 0;
  /** The state that all viewers have, its time in ms, and the event that has all of it. */
  #last;
  #lastAt;
  #lastEvent;

  /** @param extras Members of the first event beyond those of the state. */
  constructor(server, status, extras) {
    this.#server = server;
    this.#status = status;
    this.#extras = extras;
  }

  add(req, res) {
    if (this.#viewers.size >= MAX_VIEWERS) {
      sendError(res, 503, 'Too many streams', { 'Retry-After': '5' });
      return;
    }
    if (isOver(this.#server.state)) {
      sendError(res, 503, 'The server is stopping', { Connection: 'close', 'Retry-After': '5' });
      return;
    }
    // It left while it was judged.
    if (res.destroyed || req.socket.destroyed) return;
    req.socket.setNoDelay(true);
    res.writeHead(200, EVENT_STREAM);
    if (req.method === 'HEAD') {
      res.end();
      return;
    }
    if (this.#viewers.size === 0) this.#begin();
    const event = this.#wholeEvent();
    this.#viewers.set(res, { behind: 0, maxBytes: Buffer.byteLength(event) + MAX_BYTES_BEHIND });
    res.on('close', () => this.#remove(res));
    res.write(`retry: ${RETRY_MS}\n${event}`);
  }

  #begin() {
    this.#read();
    this.#beats = 0;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    this.#timer.unref();
  }

  #remove(res) {
    if (!this.#viewers.delete(res) || this.#viewers.size > 0) return;
    clearInterval(this.#timer);
    this.#last = undefined;
    this.#lastEvent = undefined;
  }

  #read() {
    this.#lastAt = Date.now();
    this.#last = this.#status.read(this.#lastAt);
    this.#lastEvent = undefined;
  }

  /** A viewer that comes between two updates gets the state of the last one, to which the next is the difference. */
  #wholeEvent() {
    this.#lastEvent ??= eventOf({ at: new Date(this.#lastAt).toISOString(), ...this.#last, ...this.#extras });
    return this.#lastEvent;
  }

  #beat() {
    if (isOver(this.#server.state)) {
      this.#end();
      return;
    }
    this.#beats += 1;
    if (this.#beats % BEATS_AN_UPDATE === 0) this.#update();
  }

  #update() {
    const [previous, previousAt] = [this.#last, this.#lastAt];
    this.#read();
    const changed = differences(previous, this.#last, previousAt, this.#lastAt);
    const event = eventOf({ at: new Date(this.#lastAt).toISOString(), ...changed });
    for (const [res, viewer] of this.#viewers) {
      const bytes = res.writableLength;
      viewer.behind = bytes === 0 ? 0 : viewer.behind + 1;
      // It gets the whole state when it comes back.
      if (viewer.behind > MAX_UPDATES_BEHIND || bytes > viewer.maxBytes) res.destroy();
      else res.write(event);
    }
  }

  #end() {
    const event = eventOf({ at: new Date().toISOString(), state: this.#server.state });
    for (const res of this.#viewers.keys()) res.end(event);
  }
}

module.exports = { Viewers };
