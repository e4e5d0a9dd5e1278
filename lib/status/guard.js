'use strict';

// Who may see the page, and from where its actions may come.

const { isThisMachine } = require('../http/this-machine.js');
const { publishError } = require('../workers/diagnostics.js');
const { describeError } = require('../workers/handlers.js');

/** What is shorter would be found in every second word. */
const SHORTEST_SECRET = 4;

/** Lets in whom the application lets in, or, where it has no say, this machine. */
class Guard {
  #server;
  #limitedLogger;
  #authenticate;

  /** @param {((req: import('node:http').IncomingMessage) => unknown) | undefined} authenticate */
  constructor(server, limitedLogger, authenticate) {
    this.#server = server;
    this.#limitedLogger = limitedLogger;
    this.#authenticate = authenticate;
  }

  /** @returns {Promise<200 | 401 | 403>} 200: it gets in */
  async judge(req) {
    if (this.#authenticate === undefined) return isThisMachine(req) ? 200 : 403;
    try {
      return (await this.#authenticate(req)) === true ? 200 : 401;
    } catch (thrown) {
      publishError(this.#server, thrown, 'authenticate');
      this.#limitedLogger.error('Error in authenticate', { error: redact(describeError(thrown), req) });
      return 401;
    }
  }
}

/** Whether a page of this `Origin` is one of the host that the request was sent to. */
function isOwnOrigin(origin, host) {
  if (host === undefined || !/^https?:\/\/[^/?#@\\\s]+$/i.test(origin) || !/^[^/?#@\\\s]+$/.test(host)) return false;
  try {
    const { protocol, host: from } = new URL(origin);
    return from === new URL(`${protocol}//${host}`).host;
  } catch {
    return false;
  }
}

/** A text for a log line without what this client sent to be let in. */
function redact(text, req) {
  const header = req.headers.authorization ?? '';
  const [, scheme = '', value = ''] = /^(\S+) +(.+)$/.exec(header) ?? [];
  const secrets = [header, value];
  if (scheme.toLowerCase() === 'basic') {
    const pair = Buffer.from(value, 'base64').toString();
    secrets.push(pair, pair.slice(pair.indexOf(':') + 1));
  }
  let redacted = text;
  for (const secret of secrets) {
    if (secret.length >= SHORTEST_SECRET) redacted = redacted.replaceAll(secret, '***');
  }
  return redacted;
}

module.exports = { Guard, isOwnOrigin };
