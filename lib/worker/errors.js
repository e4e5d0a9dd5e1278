'use strict';

// Errors as they cross between threads and the wire.

/** Trying again can't help: the server has refused this worker's token, registration or id. */
class WorkerRejectedError extends Error {
  constructor(message, code, reason) {
    super(message);
    this.name = 'WorkerRejectedError';
    this.code = code;
    this.reason = reason;
  }
}

/** The Error that the connection sent as plain data. */
function reviveError(plain) {
  if (plain === undefined) return undefined;
  if (plain.rejected) return new WorkerRejectedError(plain.message, plain.code, plain.reason);
  const error = new Error(plain.message);
  if (plain.name !== undefined && plain.name !== 'Error') error.name = plain.name;
  if (plain.code !== undefined) error.code = plain.code;
  if (plain.statusCode !== undefined) error.statusCode = plain.statusCode;
  return error;
}

/** The text of anything that was thrown, also of what throws when it is looked at. */
function describeThrown(thrown) {
  try {
    if (typeof thrown?.message === 'string') return thrown.message;
    return typeof thrown === 'object' && thrown !== null
      ? 'The handler threw an object without a message'
      : String(thrown);
  } catch {
    return 'The handler threw something that has no description';
  }
}

/** JSON text of what a handler threw, as the `error` of a `request_error`: never its stack. */
function errorJson(thrown) {
  const error = { message: describeThrown(thrown) };
  const code = read(thrown, 'code');
  const retryable = read(thrown, 'retryable');
  if (typeof code === 'string') error.code = code;
  if (typeof retryable === 'boolean') error.retryable = retryable;
  const text = JSON.stringify(error);
  const data = dataJson(read(thrown, 'data'));
  return data === undefined ? text : `${text.slice(0, -1)},"data":${data}}`;
}

function read(thrown, key) {
  try {
    return thrown?.[key];
  } catch {
    return undefined;
  }
}

function dataJson(data) {
  try {
    return JSON.stringify(data);
  } catch {
    return undefined;
  }
}

module.exports = { WorkerRejectedError, describeThrown, errorJson, reviveError };
