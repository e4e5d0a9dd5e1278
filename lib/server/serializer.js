'use strict';

/** Strings of this many characters, and more, are left to the native side. */
const LONG = 8 * 1024;
/** What stands for them. JSON text has this where such a string is, or one that ends like it, and nowhere else. */
const PLACEHOLDER = '\u0000';
const WRITTEN_PLACEHOLDER = JSON.stringify(PLACEHOLDER);
/** How many long texts are not looked through after one that was, and had no long string. */
const REST_TEXTS = 64;

/**
 * Writes messages as `JSON.stringify` does, but leaves the long strings in them to the native side: V8 writes those
 * character by character, into memory that it then copies. Being shown each value costs V8 more than it saves where
 * values are short, so it is only asked to after a long text.
 */
class Serializer {
  #expectsLong = false;
  #rest = 0;

  /**
   * The JSON text of a message; or, if it has long strings, an array in which such strings stand between pieces of JSON
   * text, as they are. `undefined` if it has no text. Throws what `JSON.stringify` throws.
   */
  write(message) {
    return this.#expectsLong ? this.#writeInPieces(message) : this.#writeWhole(message);
  }

  #writeWhole(message) {
    const text = JSON.stringify(message);
    if (text !== undefined && text.length >= LONG) {
      if (this.#rest === 0) this.#expectsLong = true;
      else this.#rest -= 1;
    }
    return text;
  }

  #writeInPieces(message) {
    const longs = [];
    const text = JSON.stringify(message, (_key, value) => {
      if (typeof value !== 'string' || value.length < LONG) return value;
      longs.push(value);
      return PLACEHOLDER;
    });
    if (longs.length === 0) {
      this.#expectsLong = false;
      if (text !== undefined && text.length >= LONG) this.#rest = REST_TEXTS;
      return text;
    }
    const pieces = text.split(WRITTEN_PLACEHOLDER);
    // The message has a string of its own that is written like that.
    if (pieces.length !== longs.length + 1) return JSON.stringify(message);
    return pieces.flatMap((piece, index) => (index < longs.length ? [piece, longs[index]] : [piece]));
  }
}

module.exports = { Serializer };
