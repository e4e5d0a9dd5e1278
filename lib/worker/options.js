'use strict';

// The options of a Worker: checked, and with their defaults. No error holds a value: each may be, or hold, a secret.

const { randomBytes } = require('node:crypto');
const { validateHeaderName, validateHeaderValue } = require('node:http');
const os = require('node:os');
const { chooseProxy } = require('./connection/proxy.js');

const DEFAULT_RECONNECT = Object.freeze({ initialDelayMs: 1_000, maxDelayMs: 30_000, maxAttempts: Infinity });
const DEFAULT_DRAIN_TIMEOUT_MS = 30_000;
const DEFAULT_SIGNALS = Object.freeze(['SIGINT', 'SIGTERM']);
const LOG_METHODS = ['debug', 'info', 'warn', 'error'];

/** The id of a worker that was given none, the same for the whole life of the process. */
const DEFAULT_WORKER_ID = `${os.hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;

const wrong = (name, expected) => new TypeError(`options.${name} must be ${expected}`);
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws {TypeError} that names the option */
function readOptions(options) {
  if (!isObject(options)) throw new TypeError('options must be an object');
  const url = readUrl(options.url);
  const workerId = readName(options.workerId, 'workerId', DEFAULT_WORKER_ID);
  const isolate = readBoolean(options.isolate, 'isolate', true);
  return {
    url,
    workerId,
    workerName: readName(options.workerName, 'workerName', workerId),
    authToken: readToken(options.authToken),
    headers: readHeaders(options.headers),
    tls: readTls(options.tls, isolate),
    proxy: readProxy(url, options.proxy),
    capabilities: readCapabilities(options.capabilities),
    handler: readHandler(options.handler),
    reconnect: readReconnect(options.reconnect),
    drainTimeoutMs: readDuration(options.drainTimeoutMs, 'drainTimeoutMs', DEFAULT_DRAIN_TIMEOUT_MS),
    handleSignals: readSignals(options.handleSignals),
    isolate,
    logger: readLogger(options.logger),
  };
}

function readUrl(value) {
  const expected = wrong('url', 'a ws: or wss: URL without a fragment');
  if (typeof value !== 'string' && !(value instanceof URL)) throw expected;
  let url;
  try {
    url = new URL(value);
  } catch {
    throw expected;
  }
  if ((url.protocol !== 'ws:' && url.protocol !== 'wss:') || url.hash !== '') throw expected;
  return url;
}

function readName(value, name, byDefault) {
  if (value === undefined) return byDefault;
  if (typeof value !== 'string' || value === '') throw wrong(name, 'a string that is not empty');
  return value;
}

function readToken(value) {
  if (value === undefined || typeof value === 'string' || typeof value === 'function') return value;
  throw wrong('authToken', 'a string or a function that returns one');
}

function readHeaders(value) {
  if (value === undefined) return {};
  if (!isObject(value)) throw wrong('headers', 'an object of strings');
  const headers = {};
  for (const [name, header] of Object.entries(value)) {
    const texts = Array.isArray(header) ? header : [header];
    try {
      validateHeaderName(name);
      for (const text of texts) {
        if (typeof text !== 'string') throw wrong('headers', 'an object of strings');
        validateHeaderValue(name, text);
      }
    } catch {
      throw wrong('headers', 'an object of strings that are valid in HTTP');
    }
    headers[name] = header;
  }
  return headers;
}

function readTls(value, isolate) {
  if (value === undefined) return {};
  if (!isObject(value)) throw wrong('tls', "an object of tls.connect's options");
  if (!isolate) return value;
  try {
    return structuredClone(value);
  } catch {
    throw wrong('tls', 'plain data, without functions, unless options.isolate is false');
  }
}

function readProxy(url, value) {
  if (value !== undefined && value !== false && typeof value !== 'string')
    throw wrong('proxy', 'an http: URL or false');
  return chooseProxy(url, value);
}

/** What the server can judge is left to it: it says what is wrong with the members. */
function readCapabilities(value) {
  if (typeof value === 'function') return value;
  if (!isObject(value)) throw wrong('capabilities', 'an object or a function that returns one');
  try {
    JSON.stringify(value);
  } catch {
    throw wrong('capabilities', 'an object that JSON can hold');
  }
  return value;
}

function readHandler(value) {
  if (typeof value !== 'function') throw wrong('handler', 'a function');
  return value;
}

function readReconnect(value) {
  if (value === undefined) return { ...DEFAULT_RECONNECT };
  if (!isObject(value)) throw wrong('reconnect', 'an object');
  const { maxAttempts = DEFAULT_RECONNECT.maxAttempts } = value;
  if (maxAttempts !== Infinity && !(Number.isInteger(maxAttempts) && maxAttempts >= 0)) {
    throw wrong('reconnect.maxAttempts', 'a whole number from 0, or Infinity');
  }
  return {
    initialDelayMs: readDuration(value.initialDelayMs, 'reconnect.initialDelayMs', DEFAULT_RECONNECT.initialDelayMs),
    maxDelayMs: readDuration(value.maxDelayMs, 'reconnect.maxDelayMs', DEFAULT_RECONNECT.maxDelayMs),
    maxAttempts,
  };
}

function readDuration(value, name, byDefault) {
  if (value === undefined) return byDefault;
  if (typeof value !== 'number' || Number.isNaN(value) || value < 0)
    throw wrong(name, 'a number of milliseconds that is not negative');
  return value;
}

function readSignals(value) {
  if (value === undefined) return DEFAULT_SIGNALS;
  if (!Array.isArray(value) || value.some((signal) => !Object.hasOwn(os.constants.signals, signal))) {
    throw wrong('handleSignals', "an array of signals' names, such as 'SIGTERM'");
  }
  return [...new Set(value)];
}

function readBoolean(value, name, byDefault) {
  if (value === undefined) return byDefault;
  if (typeof value !== 'boolean') throw wrong(name, 'a boolean');
  return value;
}

/** A logger that throws disturbs nothing. */
function readLogger(value) {
  if (value === undefined) return Object.fromEntries(LOG_METHODS.map((method) => [method, () => {}]));
  const logs = (typeof value === 'object' && value !== null) || typeof value === 'function';
  if (!logs || LOG_METHODS.some((method) => typeof value[method] !== 'function')) {
    throw wrong('logger', `an object with the functions ${LOG_METHODS.join(', ')}`);
  }
  const quietly =
    (method) =>
    (...line) => {
      try {
        value[method](...line)?.catch?.(() => {});
      } catch {
        // There is nowhere else to say it.
      }
    };
  return Object.fromEntries(LOG_METHODS.map((method) => [method, quietly(method)]));
}

/**
 * What no line and no error may hold: the token, and a URL's credentials and query, as they are written and as they are
 * meant.
 */
function secretsOf({ url, authToken, proxy }) {
  const written = [url.username, url.password, url.search.slice(1)];
  const secrets = [...written, ...written.map(decodeURIComponentSafely), ...url.searchParams.values()];
  if (typeof authToken === 'string') secrets.push(authToken);
  if (proxy?.credentials) secrets.push(proxy.credentials, proxy.credentials.slice(proxy.credentials.indexOf(':') + 1));
  return secrets;
}

function decodeURIComponentSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

module.exports = { isObject, readOptions, secretsOf };
