'use strict';

const { inspect } = require('node:util');
const { UNWATCHED } = require('./diagnostics.js');

const NO_OP = () => {};
// As it was when this was loaded: tests replace it.
const { parse: parseJson } = JSON;
/** How the log lines begin that name a handler. */
const ERROR_IN = 'Error in ';

/** Stands in where the caller gave no logger. */
const SILENT_LOGGER = Object.freeze({ debug: NO_OP, info: NO_OP, warn: NO_OP, error: NO_OP });

/**
 * What to say of a value that was thrown: the message of an Error, else the value as text. Anything may be thrown, also
 * what throws when it is looked at.
 */
function describeError(thrown) {
  for (const describe of DESCRIPTIONS) {
    try {
      return describe(thrown);
    } catch {
      // The next one may be able to.
    }
  }
  return `${typeName(thrown)} that can't be described`;
}

const DESCRIPTIONS = [
  (thrown) => String(thrown instanceof Error ? thrown.message : (thrown?.message ?? thrown)),
  (thrown) => inspect(thrown),
  (thrown) => Object.prototype.toString.call(thrown),
];

const typeName = (value) => (value === null ? 'null' : typeof value);

/** A TypeError for a caller's mistake: which argument, what it should be, what came. */
function wrongType(name, expected, value) {
  return new TypeError(`${name} must be ${expected}, got ${shown(value)}`);
}

/** A value as text, whatever it does when it is looked at, and however long it is. */
function shown(value) {
  try {
    return inspect(value, { depth: 0, maxStringLength: 100 });
  } catch {
    return typeName(value);
  }
}

/** Writes a line that the native side worded; `context` is JSON text, or nothing. */
function writeLine(logger, level, message, context) {
  if (!context) logger[level](message);
  else logger[level](message, parseJson(context));
}

function requireFunction(value, name) {
  if (typeof value !== 'function') throw wrongType(name, 'a function', value);
}

/**
 * The application's handlers, and the rules by which they run: in the order of their registration, each function
 * once, as a Set is walked (what is added or removed meanwhile counts at once), and none disturbing another.
 */
class Handlers {
  #logger;
  #diagnostics;
  #connected = new Set();
  #disconnected = new Set();
  #updated = new Set();
  #messages = new Map();

  /** @param diagnostics Where it is published what happens, before the handlers hear of it: see `Diagnostics`. */
  constructor(logger = SILENT_LOGGER, diagnostics = UNWATCHED) {
    this.#logger = logger;
    this.#diagnostics = diagnostics;
  }

  onConnected(handler) {
    return subscribe(this.#connected, handler);
  }

  onDisconnected(handler) {
    return subscribe(this.#disconnected, handler);
  }

  onUpdated(handler) {
    return subscribe(this.#updated, handler);
  }

  onMessage(type, handler) {
    if (typeof type !== 'string') throw wrongType('type', 'a string', type);
    requireFunction(handler, 'handler');
    let handlers = this.#messages.get(type);
    if (handlers === undefined) {
      handlers = new Set();
      this.#messages.set(type, handlers);
    }
    return subscribe(handlers, handler);
  }

  /** `getInfo` is asked for the worker only if there are handlers. */
  connected(getInfo) {
    this.#diagnostics.connected(getInfo);
    if (this.#connected.size === 0) return;
    const info = getInfo();
    for (const handler of this.#connected) {
      this.#call('Error in connected handler', undefined, this.#logger, handler, info);
    }
  }

  disconnected(info, pendingRequestIds) {
    for (const handler of this.#disconnected) {
      this.#call('Error in disconnected handler', undefined, this.#logger, handler, info, pendingRequestIds);
    }
  }

  /**
   * `change` is what has changed in the worker: its `status` or its `capabilities`. A worker can change as often as it
   * likes, so what handlers throw goes to `logger`, as in `message`.
   */
  updated(getInfo, change, logger) {
    this.#diagnostics.updated(getInfo, change);
    if (this.#updated.size === 0) return;
    const info = getInfo();
    for (const handler of this.#updated) {
      this.#call('Error in updated handler', undefined, logger, handler, info, change);
    }
  }

  /**
   * Passes a message to the handlers of its type. `getInfo` is asked for the worker only if there are any; that there
   * are none, or what they throw, is logged to `logger`. Returns whether one of them took it.
   */
  message(message, getInfo, logger = this.#logger) {
    const { type } = message;
    const handlers = this.#messages.get(type);
    if (handlers === undefined || handlers.size === 0) {
      logger.warn('Unhandled message type from worker', { type });
      return false;
    }
    const info = getInfo();
    for (const handler of handlers) {
      this.#call('Error in message handler', type, logger, handler, info, message);
    }
    return true;
  }

  /** The first of `args` is the worker. */
  #call(complaint, type, logger, handler, ...args) {
    const complain = (thrown) => {
      this.#diagnostics.threw(thrown, complaint.slice(ERROR_IN.length), args[0]);
      const error = describeError(thrown);
      logger.error(complaint, type === undefined ? { error } : { type, error });
    };
    try {
      const result = handler(...args);
      if (typeof result?.then === 'function') result.then(undefined, complain);
    } catch (thrown) {
      complain(thrown);
    }
  }
}

function subscribe(handlers, handler) {
  requireFunction(handler, 'handler');
  handlers.add(handler);
  return () => {
    handlers.delete(handler);
  };
}

module.exports = { Handlers, SILENT_LOGGER, describeError, requireFunction, typeName, writeLine, wrongType };
