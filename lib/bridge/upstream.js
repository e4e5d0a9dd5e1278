'use strict';

// The OpenAI-compatible endpoint behind a bridge. These are all the requests that it ever gets: `GET /models`,
// llama.cpp's `GET /props`, and POST to the paths below.

const { readText, send } = require('./http-client.js');
const { eventData } = require('./sse.js');
const { UpstreamError, badAnswer, brokeOff, refused } = require('./upstream-error.js');

/** What is forwarded, by what follows the upstream's URL. */
const PATHS = new Set(['/chat/completions', '/completions', '/embeddings', '/responses']);
/** The paths whose streams end with `[DONE]`. */
const ENDS_WITH_DONE = new Set(['/chat/completions', '/completions']);
const DONE = '[DONE]';

const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_MODELS_BYTES = 16 * 1024 * 1024;
/** How long the upstream may take to list its models, in ms. */
const LIST_MS = 10_000;

class Upstream {
  #base;
  #key;

  /**
   * @param {URL} url such as http://127.0.0.1:11434/v1
   * @param {string} [key] sent as `Authorization: Bearer`
   */
  constructor(url, key) {
    this.#base = url.href.replace(/\/+$/, '');
    this.#key = key;
  }

  /**
   * The entries of `GET /models` that have an id, each id once.
   *
   * @throws an Error whose `connected` is false if no connection could be made; with the answer's `status` if it is no
   *   list
   */
  async models(signal) {
    const { status, text } = await this.#get('/models', signal);
    if (status !== 200) throw Object.assign(new Error(`status ${status}`), { status });
    const list = parseJson(text)?.data;
    if (!Array.isArray(list)) throw Object.assign(new Error('an answer without a list of models'), { status });
    const byId = new Map();
    for (const model of list) {
      if (typeof model?.id === 'string' && model.id !== '' && !byId.has(model.id)) byId.set(model.id, model);
    }
    return [...byId.values()];
  }

  /** How many requests llama.cpp's server works on at once; undefined of another server. */
  async totalSlots(signal) {
    try {
      // It is beside `/v1`, not below it.
      const { status, text } = await this.#get('/props', signal, this.#base.replace(/\/v1$/, ''));
      const slots = status === 200 ? parseJson(text)?.total_slots : undefined;
      return Number.isSafeInteger(slots) && slots > 0 ? slots : undefined;
    } catch {
      return undefined;
    }
  }

  async #get(path, signal, base = this.#base) {
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    const timer = setTimeout(abort, LIST_MS);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      const headers = { accept: 'application/json', ...this.#authorization() };
      const res = await send(new URL(base + path), { headers, signal: giveUp.signal });
      return { status: res.statusCode, text: await readText(res, MAX_MODELS_BYTES) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /**
   * Forwards a request.
   *
   * @param {unknown} payload `{ path, body }`
   * @returns the body of the answer, or an async generator of the events that the upstream streams
   * @throws {UpstreamError} or the reason of `signal`
   */
  async call(payload, signal) {
    const { path, text, wantsStream } = readPayload(payload);
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...this.#authorization(),
    };
    let res;
    try {
      res = await send(new URL(this.#base + path), { method: 'POST', headers, body: text, signal });
    } catch (error) {
      throw failure(error, signal, error.connected === false ? refused : brokeOff);
    }
    const { statusCode: status } = res;
    if (status >= 300 && status < 400) {
      res.destroy();
      throw badAnswer(`a redirect (${status}), which is not followed`);
    }
    const isStream = /^text\/event-stream\b/i.test(res.headers['content-type'] ?? '');
    if (status === 200 && isStream) {
      if (wantsStream) return this.#events(path, res, signal);
      res.destroy();
      throw badAnswer('a stream that was not asked for');
    }
    const answer = await this.#text(res, signal);
    const body = parseJson(answer);
    if (status >= 400)
      throw new UpstreamError('upstream_error', status, messageOf(body, status), {
        body: body === undefined ? answer : body,
      });
    if (body === undefined) throw badAnswer('what is not JSON');
    return body;
  }

  async #text(res, signal) {
    try {
      return await readText(res, MAX_ANSWER_BYTES);
    } catch (error) {
      throw failure(error, signal, brokeOff);
    }
  }

  async *#events(path, res, signal) {
    try {
      for await (const data of eventData(res)) {
        if (data === DONE) return;
        const event = parseJson(data);
        if (event === undefined) throw badAnswer('an event that is not JSON');
        yield event;
      }
    } catch (error) {
      throw error instanceof UpstreamError ? error : failure(error, signal, brokeOff);
    } finally {
      res.destroy();
    }
    // A body that has neither a length nor chunks ends with its connection, however that ends.
    const endsByItself = res.headers['content-length'] !== undefined || res.headers['transfer-encoding'] !== undefined;
    if (!endsByItself && ENDS_WITH_DONE.has(path)) throw brokeOff();
  }

  #authorization() {
    return this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` };
  }
}

/** @throws {UpstreamError} for what is not forwarded */
function readPayload(payload) {
  const path = payload?.path;
  if (typeof path !== 'string' || !PATHS.has(path))
    throw new UpstreamError('unsupported', 404, `Only these paths are supported: ${[...PATHS].join(', ')}`);
  const { body } = payload;
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new UpstreamError('invalid_body', 400, 'The body must be an object');
  try {
    return { path, text: JSON.stringify(body), wantsStream: body.stream === true };
  } catch {
    throw new UpstreamError('invalid_body', 400, 'The body is too deep');
  }
}

/** The error that stands for what a connection threw. */
function failure(error, signal, otherwise) {
  if (signal.aborted) return signal.reason;
  if (error.code === 'TOO_LARGE') return badAnswer('more than can be passed on');
  return otherwise(error);
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function messageOf(body, status) {
  const error = body?.error;
  const message = [error?.message, error, body?.message].find((text) => typeof text === 'string' && text !== '');
  return message ?? `The upstream answered with status ${status}`;
}

module.exports = { PATHS, Upstream };
