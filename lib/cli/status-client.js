'use strict';

// The status page of a server, as `status` and `drain` use it.

const { url } = require('./arguments.js');
const { Failure, UsageError } = require('./errors.js');
const { readText, send } = require('../bridge/http-client.js');
const { withoutSecrets } = require('./printable.js');

const MAX_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 15_000;
const readUrl = url(['http:', 'https:', 'ws:', 'wss:'], { bare: false });

class StatusClient {
  #page;
  #key;

  /**
   * @param {string} text the server's address, or that of its status page, as `serve` prints them
   * @param {string} [key] the admin key
   * @throws {UsageError}
   */
  constructor(text, key) {
    this.#page = pageOf(text);
    this.#key = key;
  }

  /** `/status.json`. @throws {Failure} */
  async status() {
    const { status, json } = await this.#send('.json', {});
    if (status === 404) throw new Failure(`${this.#where} has no status page`);
    if (status !== 200 || !Array.isArray(json?.workers)) throw new Failure(`${this.#where} answered with ${status}`);
    return json;
  }

  /**
   * @returns {Promise<boolean>} false: no such worker
   * @throws {Failure}
   */
  async act(action, workerId) {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ action, workerId });
    const { status } = await this.#send('/actions', { method: 'POST', headers, body });
    if (status !== 200 && status !== 204 && status !== 404) throw new Failure(`${this.#where} answered with ${status}`);
    return status !== 404;
  }

  get #where() {
    return withoutSecrets(this.#page);
  }

  async #send(suffix, { headers, ...options }) {
    const authorization = this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` };
    let res;
    let text;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      res = await send(new URL(this.#page.href + suffix), {
        ...options,
        headers: { ...headers, ...authorization },
        signal,
      });
      text = await readText(res, MAX_BYTES);
    } catch (error) {
      throw new Failure(`${this.#where} can't be reached (${error.code ?? error.message})`);
    }
    if (res.statusCode === 401 || res.statusCode === 403)
      throw new Failure(`${this.#where} ${this.#key === undefined ? 'needs --key' : 'refused the key'}`);
    return { status: res.statusCode, json: parse(text) };
  }
}

function pageOf(text) {
  let page;
  try {
    page = readUrl(text);
  } catch (error) {
    throw new UsageError(`URL must be ${error.message}`);
  }
  if (page.username !== '' || page.password !== '') throw new UsageError('URL must be without credentials: use --key');
  // A URL object keeps its protocol from changing between ws: and http:.
  const path = page.pathname.replace(/\/+$/, '').replace(/\/status(?:\.json)?$/, '');
  return new URL(`${page.protocol.replace('ws', 'http')}//${page.host}${path}/status`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { StatusClient };
