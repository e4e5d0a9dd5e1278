'use strict';

// One socket from its opening to its end: the registration, heartbeats, and what the server says.

const { registrationFrame } = require('./frames.js');
const { Heartbeat } = require('./heartbeat.js');
const { Outbox } = require('./outbox.js');
const { monotonicMs } = require('../../time/clock.js');

/** How long the answer to a registration may take, in ms. */
const ACK_TIMEOUT_MS = 30_000;
/** How long a server that refused a registration has to close, in ms. */
const REFUSED_CLOSE_MS = 5_000;
/** How long the closing handshake may take, what waits to be sent before it included, in ms. */
const CLOSE_TIMEOUT_MS = 2_000;
/** The interval that stands in where the ack names none that makes sense, in ms. */
const DEFAULT_HEARTBEAT_INTERVAL_MS = 15_000;
/** A shorter interval than this would be nothing but load, in ms. */
const LEAST_HEARTBEAT_INTERVAL_MS = 10;

const OPEN = 1;

class Session {
  #ws;
  #workerId;
  #events;
  #outbox;
  #heartbeat = null;
  #timer;
  #refusal;
  #lostError;
  #closing = false;

  /** `{ request, resume }`: which features the server has; null until it has registered this worker. */
  features = null;
  /** The session id that the server gave, or '' until then. */
  id = '';
  /** When the server asked this worker to come back after it closes, in ms from then; undefined if it didn't. */
  drawnDelayMs = undefined;
  /** Resolves with `{ registered, code, reason, refusal, error, largest }` when the socket is closed. */
  ended;

  /**
   * @param ws an open socket
   * @param registration what to register with: see `registrationFrame`
   * @param events `registered(ack)`, `message(message, text)` for all but acks, `flushed()`, `active()`,
   *   `malformed(what, context)`
   */
  constructor(ws, registration, events) {
    this.#ws = ws;
    this.#workerId = registration.workerId;
    this.#events = events;
    this.#outbox = new Outbox(ws, () => this.#flushed());
    this.ended = new Promise((resolve) =>
      ws.once('close', (code, reason) => resolve(this.#end(code, reason.toString()))),
    );
    ws.on('message', (data) => this.#receive(data.toString()));
    this.#timeOut(ACK_TIMEOUT_MS, `The registration was not answered within ${ACK_TIMEOUT_MS / 1000} s`);
    this.#outbox.push(registrationFrame(registration));
  }

  get registered() {
    return this.features !== null;
  }

  /** Bytes that the socket hasn't taken yet. */
  get waitingBytes() {
    return this.#outbox.waitingBytes;
  }

  push(text, options) {
    if (!this.#closing) this.#outbox.push(text, options);
  }

  /** Closes with 1000 when all that was pushed has been handed over, and cuts the connection if that takes long. */
  close() {
    if (this.#closing) return;
    this.#closing = true;
    this.#timeOut(CLOSE_TIMEOUT_MS, 'The server did not close');
    this.#closeWhenEmpty();
  }

  #closeWhenEmpty() {
    if (this.#outbox.waitingBytes === 0 && this.#ws.readyState === OPEN) this.#ws.close(1000, 'Worker shutting down');
  }

  #flushed() {
    if (this.#closing) this.#closeWhenEmpty();
    else this.#events.flushed();
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this.#events.malformed('Invalid JSON message from server', {});
      return;
    }
    if (typeof message?.type !== 'string') this.#events.malformed('Message from server has no type', {});
    else if (message.type === 'worker_registration_ack') this.#onAck(message);
    else if (message.type === 'heartbeat_ack') this.#heartbeat?.answered(message.timestamp);
    else this.#events.message(message, text);
  }

  #onAck(ack) {
    if (this.registered || this.#refusal !== undefined || this.#closing) return;
    if (ack.success !== true) {
      this.#refusal = typeof ack.error === 'string' ? ack.error : 'no reason given';
      this.#timeOut(REFUSED_CLOSE_MS, `The server refused the registration: ${this.#refusal}`);
      return;
    }
    clearTimeout(this.#timer);
    const features = Array.isArray(ack.features) ? ack.features : [];
    const request = features.includes('request');
    this.id = typeof ack.sessionId === 'string' ? ack.sessionId : '';
    this.features = { request, resume: request && this.id !== '' && features.includes('resume') };
    this.#startHeartbeats(ack.heartbeatIntervalMs);
    this.#events.registered(ack);
  }

  #startHeartbeats(asked) {
    const sensible = typeof asked === 'number' && asked > 0;
    const intervalMs = sensible ? Math.max(asked, LEAST_HEARTBEAT_INTERVAL_MS) : DEFAULT_HEARTBEAT_INTERVAL_MS;
    this.#heartbeat = new Heartbeat(intervalMs, {
      send: (timestamp, onFlushed) => {
        const beat = { type: 'heartbeat', workerId: this.#workerId, timestamp };
        if (this.features.request) beat.active = this.#events.active();
        this.#outbox.push(JSON.stringify(beat), { urgent: true, onFlushed });
      },
      lastProgress: () => this.#outbox.lastProgress,
      lost: () => this.#cut('The server has not answered a heartbeat in time'),
    });
  }

  #timeOut(delayMs, message) {
    clearTimeout(this.#timer);
    const due = monotonicMs() + delayMs;
    this.#timer = setTimeout(() => {
      // A process that was suspended meanwhile first reads what came.
      if (monotonicMs() - due > 1_000) this.#timeOut(delayMs, message);
      else this.#cut(message);
    }, delayMs);
  }

  #cut(message) {
    this.#lostError = new Error(message);
    this.#ws.terminate();
  }

  #end(code, reason) {
    clearTimeout(this.#timer);
    this.#heartbeat?.stop();
    this.#outbox.close();
    this.#closing = true;
    const { largest } = this.#outbox;
    return { registered: this.registered, code, reason, refusal: this.#refusal, error: this.#lostError, largest };
  }
}

module.exports = { Session };
