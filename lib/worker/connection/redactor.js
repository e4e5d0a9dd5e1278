'use strict';

// Keeps secrets out of what is said: texts that come from elsewhere, such as a server's error or a function's, may
// quote them.

/** A shorter secret would be found in every second word. */
const LEAST_LENGTH = 4;

class Redactor {
  #secrets = new Set();

  constructor(secrets = []) {
    for (const secret of secrets) this.add(secret);
  }

  add(secret) {
    if (typeof secret === 'string' && secret.length >= LEAST_LENGTH) this.#secrets.add(secret);
  }

  redact(text) {
    if (typeof text !== 'string') return text;
    let redacted = text;
    for (const secret of this.#secrets) redacted = redacted.replaceAll(secret, '***');
    return redacted;
  }

  /** The same for each text among an object's own members. */
  redactAll(context) {
    return Object.fromEntries(Object.entries(context).map(([key, value]) => [key, this.redact(value)]));
  }
}

module.exports = { Redactor };
