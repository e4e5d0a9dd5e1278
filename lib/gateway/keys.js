'use strict';

const crypto = require('node:crypto');

/** How many hex digits of a key's hash stand for it where requests are served in turn. */
const FAIR_KEY_DIGITS = 16;
/** What is shorter would be found in every second word. */
const SHORTEST_SECRET = 4;

const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest();

/** What stands behind `Bearer` in a request's `Authorization`; undefined if there is no such thing. */
function bearerOf(req) {
  return /^bearer +(.+)$/i.exec(req.headers.authorization ?? '')?.[1];
}

/** The keys that let a client in. */
class ApiKeys {
  #keys;
  #digests;

  /** @param {readonly string[]} keys an empty list refuses every client */
  constructor(keys) {
    this.#keys = keys;
    this.#digests = keys.map(sha256);
  }

  /**
   * Compares what a client presents with every key, whichever is right, in a time that reveals nothing about them: what
   * is compared are hashes, so that neither the place of a difference nor a length shows.
   *
   * @param {string | undefined} presented As Node reads headers: a character for each byte.
   * @returns {string | null} the `fairKey` of the key that it is; null if it is none
   */
  check(presented = '') {
    const digest = sha256(Buffer.from(presented, 'latin1'));
    let isRight = false;
    for (const known of this.#digests) isRight = crypto.timingSafeEqual(known, digest) || isRight;
    return isRight ? digest.toString('hex').slice(0, FAIR_KEY_DIGITS) : null;
  }

  /** A text for a log line without any of the keys in it, and without what this client presented. */
  redact(text, presented) {
    let redacted = text;
    for (const secret of [...this.#keys, presented ?? '']) {
      if (secret.length >= SHORTEST_SECRET) redacted = redacted.replaceAll(secret, '***');
    }
    return redacted;
  }
}

module.exports = { ApiKeys, bearerOf };
