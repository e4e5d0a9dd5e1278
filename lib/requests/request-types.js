'use strict';

const { wrongType } = require('../workers/handlers.js');
const { HELD, RUNNING } = require('./request.js');

/** Types that are the server's own. */
const RESERVED = new Set(['worker_registration', 'heartbeat']);
const ROLES = Object.freeze(['request', 'result', 'error', 'chunk', 'cancel']);

/**
 * Checks the server's option `requestTypes`: how workers speak that know nothing of requests.
 *
 * @returns `{ request, cancel, roles }`: the types that are sent, and the role of each type that comes
 * @throws {TypeError} that names the member, what it must be and what it was
 */
function readRequestTypes(requestTypes) {
  if (requestTypes === undefined) return undefined;
  if (typeof requestTypes !== 'object' || requestTypes === null)
    throw wrongType('options.requestTypes', 'an object', requestTypes);
  const { request, result, error, chunk, cancel } = requestTypes;
  const read = {
    request: typesOf(request, 'request', { isRequired: true }),
    result: typesOf(result, 'result', { isRequired: true, isList: true }),
    error: typesOf(error, 'error', { isList: true }),
    chunk: typesOf(chunk, 'chunk', { isList: true }),
    cancel: typesOf(cancel, 'cancel', {}),
  };
  const roles = new Map();
  for (const role of ROLES) {
    for (const type of read[role]) {
      if (RESERVED.has(type))
        throw new TypeError(`options.requestTypes.${role} must not be ${type}, which is the server's own`);
      if (roles.has(type))
        throw new TypeError(
          `options.requestTypes.${role} must not be ${type}, which is options.requestTypes.${roles.get(type)} already`,
        );
      roles.set(type, role);
    }
  }
  roles.delete(read.request[0]);
  roles.delete(read.cancel[0]);
  return { request: read.request[0], cancel: read.cancel[0], roles };
}

function typesOf(value, role, { isRequired = false, isList = false }) {
  const name = `options.requestTypes.${role}`;
  if (value === undefined && !isRequired) return [];
  if (typeof value === 'string') return [value];
  if (!isList) throw wrongType(name, 'a string', value);
  const types = Array.isArray(value) ? Array.from(value) : [];
  if (types.length === 0 || types.some((type) => typeof type !== 'string')) {
    throw wrongType(name, 'a string, or a list of one or more strings', value);
  }
  return [...new Set(types)];
}

/** Requests for workers that speak the application's own types. */
class RequestTypes {
  #types;
  #dispatcher;
  #answers;

  /** @param types As `readRequestTypes` returns them. */
  constructor(types, dispatcher, answers) {
    this.#types = types;
    this.#dispatcher = dispatcher;
    this.#answers = answers;
  }

  /** The request as such a worker gets it. Its payload is a plain object's. */
  textFor(request) {
    const { type: _type, requestId: _requestId, ...payload } = JSON.parse(request.payloadText);
    const text = JSON.stringify(payload);
    const head = `{"type":${JSON.stringify(this.#types.request)},"requestId":${request.idText}`;
    return text === '{}' ? `${head}}` : `${head},${text.slice(1)}`;
  }

  /** Whether there is a type with which such workers can be asked to let go of a request. */
  get hasCancel() {
    return this.#types.cancel !== undefined;
  }

  /** The message that lets go of a request, or `undefined` if such workers know none. */
  cancelTextFor(request, reason) {
    const { cancel } = this.#types;
    if (cancel === undefined) return undefined;
    return `{"type":${JSON.stringify(cancel)},"requestId":${request.idText},"reason":"${reason}"}`;
  }

  /** Handles a message if it is about a request that the worker has. False if it is the application's. */
  handle(record, message, source) {
    const role = this.#types.roles.get(message.type);
    if (role === undefined) return false;
    const request = this.#dispatcher.get(message.requestId);
    if (request === undefined || request.record !== record) return false;
    if (request.state === HELD) {
      if (role !== 'chunk') this.#dispatcher.confirm(request);
    } else if (request.state === RUNNING) {
      if (request.isHosted) request.hears(source, true);
      this.#handleRunning(request, role, message, source);
      if (request.isHosted) request.hears(null, true);
    } else {
      return false;
    }
    return true;
  }

  #handleRunning(request, role, message, source) {
    request.noteAnswer();
    if (role === 'result') {
      this.#dispatcher.complete(request, message);
    } else if (role === 'chunk') {
      if (request.isStream) this.#answers.takeChunk(request, message, source);
    } else {
      this.#answers.endWithError(request, textOf(message), message.retryable === true, message);
    }
  }
}

/** What an error message of such a worker says, in whichever of the two members it has it. */
function textOf({ message, error }) {
  if (typeof message === 'string') return message;
  return typeof error === 'string' ? error : 'Worker reported an error';
}

module.exports = { RequestTypes, readRequestTypes };
