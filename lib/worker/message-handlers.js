'use strict';

// The application's handlers for messages of its own types.

const { describeThrown } = require('./errors.js');

class MessageHandlers {
  #logger;
  /** By type: a Set of functions, in the order in which they were added. */
  #handlers = new Map();

  constructor(logger) {
    this.#logger = logger;
  }

  /** @returns a function that removes the handler again */
  add(type, handler) {
    if (typeof type !== 'string') throw new TypeError('type must be a string');
    if (typeof handler !== 'function') throw new TypeError('handler must be a function');
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return () => {
      this.#handlers.get(type)?.delete(handler);
    };
  }

  /** Calls the handlers of a type with the message, each undisturbed by the others. */
  deliver(type, text) {
    const handlers = this.#handlers.get(type);
    if (handlers === undefined || handlers.size === 0) {
      this.#logger.debug('Unhandled message type from server', { type });
      return;
    }
    const message = JSON.parse(text);
    for (const handler of handlers)
      callSafely(
        () => handler(message),
        (error) => this.#logger.error('Error in message handler', { type, error }),
      );
  }
}

/** Calls a function of the application, which may throw or reject: then `failed` is called with a text. */
function callSafely(call, failed) {
  try {
    const returned = call();
    if (typeof returned?.then === 'function') returned.then(undefined, (error) => failed(describeThrown(error)));
  } catch (error) {
    failed(describeThrown(error));
  }
}

module.exports = { MessageHandlers, callSafely };
