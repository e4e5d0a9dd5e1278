'use strict';

// What the server says to a registered worker, beside acks of registrations and heartbeats: the messages of the
// features, which are the protocol's on a connection that has them, and the application's own.

const { isAttemptNumber } = require('./frames.js');

/** How many lines about malformed messages are logged in a second, at most. */
const LINES_A_SECOND = 100;

class ServerMessages {
  #attempts;
  #updates;
  #draining;
  #post;
  #log;
  #lines = 0;
  #linesSince = 0;

  constructor({ attempts, updates, draining, post, log }) {
    this.#attempts = attempts;
    this.#updates = updates;
    this.#draining = draining;
    this.#post = post;
    this.#log = log;
  }

  receive(session, message, text) {
    const act = Object.hasOwn(this.#protocol, message.type) ? this.#protocol[message.type] : undefined;
    // Before the ack it isn't known whose these types are; without the feature they are the application's.
    if (act !== undefined && !session.registered) return;
    if (act === undefined || !session.features.request)
      this.#post({ type: 'message', messageType: message.type, text });
    else act(message, text, session);
  }

  #protocol = {
    request: (message, text) => {
      if (this.#wellFormed(message)) this.#attempts.take(message, text);
    },
    request_cancel: (message) => {
      if (this.#wellFormed({ ...message, attempt: message.attempt ?? 1 })) this.#attempts.cancel(message);
    },
    request_settled: (message) => {
      if (this.#wellFormed(message)) this.#attempts.settled(message);
    },
    worker_status_ack: (message) => {
      if (message.status === 'draining') this.#draining.acknowledged();
    },
    worker_update_ack: (message) => this.#updates.acknowledged(message),
    server_draining: ({ reconnectAfterMs }, _text, session) => {
      if (typeof reconnectAfterMs === 'number' && reconnectAfterMs >= 0) session.drawnDelayMs = reconnectAfterMs;
      this.#log('debug', 'The server is draining', { reconnectAfterMs });
    },
  };

  #wellFormed({ type, requestId, attempt }) {
    const field = typeof requestId !== 'string' ? 'requestId' : isAttemptNumber(attempt) ? undefined : 'attempt';
    if (field !== undefined) this.malformed('Malformed message from server', { type, field });
    return field === undefined;
  }

  /** Logs a line that a server could cause without end. */
  malformed(message, context) {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#linesSince) this.#lines = 0;
    this.#linesSince = second;
    this.#lines += 1;
    if (this.#lines <= LINES_A_SECOND) this.#log('warn', message, context);
  }
}

module.exports = { ServerMessages };
