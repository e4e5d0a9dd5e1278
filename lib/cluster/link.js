'use strict';

/** How long an acknowledgement may wait for a message to travel with, in ms. */
const ACK_DELAY_MS = 20;
/** How long to wait for an acknowledgement before messages are sent again, at first and at most, in ms. */
const [FIRST_RESEND_MS, LAST_RESEND_MS] = [200, 2_000];
/** How much is sent again at once: bytes of texts, and messages. */
const [RESEND_BYTES, RESEND_MESSAGES] = [512 * 1024, 1_024];

/**
 * One direction to a peer and back: messages are numbered, acknowledged, and said again until they are. They reach the
 * other side once each and in order, or the peer counts as dead. Time is an argument.
 */
class Link {
  /** Messages that are not acknowledged, oldest first: { number, message, text }. */
  #unacknowledged = [];
  #lastNumber = 0;
  /** How many of them have been sent. */
  #said = 0;
  #bytes = 0;
  #resendMs = FIRST_RESEND_MS;
  #resendAt = Infinity;
  /** The last message of the peer that was delivered. */
  #delivered = 0;
  #ackAt = Infinity;

  /** The bytes of texts that are not acknowledged. */
  get bytes() {
    return this.#bytes;
  }

  /** Whether neither a message nor an acknowledgement is outstanding. */
  get isQuiet() {
    return this.#unacknowledged.length === 0 && this.#ackAt === Infinity;
  }

  get nextDueAt() {
    return Math.min(this.#resendAt, this.#ackAt);
  }

  /** Queues a message. @param {string} [text] travels with it unchanged, not as JSON */
  say(message, text) {
    this.#lastNumber += 1;
    this.#unacknowledged.push({ number: this.#lastNumber, message, text });
    this.#bytes += text?.length ?? 0;
  }

  /** What to send now, as `{ first, ack, messages, texts }`; `null` if there is nothing. */
  take(now) {
    let from = this.#said;
    let count = this.#unacknowledged.length - from;
    if (this.#resendAt <= now && from > 0) {
      from = 0;
      count = 0;
      for (
        let bytes = 0;
        count < this.#unacknowledged.length && count < RESEND_MESSAGES && bytes < RESEND_BYTES;
        count += 1
      ) {
        bytes += this.#unacknowledged[count].text?.length ?? 0;
      }
      this.#resendMs = Math.min(this.#resendMs * 2, LAST_RESEND_MS);
      this.#resendAt = now + this.#resendMs;
      this.#said = Math.max(this.#said, count);
    } else if (count > 0) {
      this.#said = this.#unacknowledged.length;
      if (this.#resendAt === Infinity) this.#resendAt = now + this.#resendMs;
    } else if (this.#ackAt > now) {
      return null;
    }
    this.#ackAt = Infinity;
    const messages = [];
    const texts = [];
    for (const { message, text } of this.#unacknowledged.slice(from, from + count)) {
      // The last member shows which of them have a text.
      messages.push(text === undefined ? [message] : [message, 1]);
      if (text !== undefined) texts.push(text);
    }
    return { first: this.#unacknowledged[from]?.number ?? 0, ack: this.#delivered, messages, texts };
  }

  /** The messages of the peer that are new, as `{ message, text }`, in order. */
  *receive({ first, ack, messages, texts }, now) {
    this.#onAck(ack, now);
    if (messages.length > 0) this.#ackAt = Math.min(this.#ackAt, now + ACK_DELAY_MS);
    let textAt = 0;
    for (let at = 0; at < messages.length; at += 1) {
      const [message, hasText] = messages[at];
      const text = hasText === 1 ? texts[textAt] : undefined;
      if (hasText === 1) textAt += 1;
      const number = first + at;
      if (number <= this.#delivered) continue;
      // A message before this one is missing.
      if (number > this.#delivered + 1) return;
      this.#delivered = number;
      yield { message, text };
    }
  }

  #onAck(ack, now) {
    let count = 0;
    while (count < this.#said && this.#unacknowledged[count].number <= ack) {
      this.#bytes -= this.#unacknowledged[count].text?.length ?? 0;
      count += 1;
    }
    if (count === 0) return;
    this.#unacknowledged.splice(0, count);
    this.#said -= count;
    this.#resendMs = FIRST_RESEND_MS;
    this.#resendAt = this.#said > 0 ? now + this.#resendMs : Infinity;
  }
}

module.exports = { Link };
