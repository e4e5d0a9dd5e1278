'use strict';

// Server-sent events as they come in: what is in their `data`.

const { StringDecoder } = require('node:string_decoder');

/** The longest event that is taken, in UTF-16 units. */
const MAX_EVENT_LENGTH = 16 * 1024 * 1024;

/**
 * The data of each event, in order. A last event that lacks its empty line counts, if the body came to its end.
 *
 * @param {AsyncIterable<Buffer>} body
 * @throws an Error with the code `TOO_LARGE`, or what `body` throws
 */
async function* eventData(body) {
  const decoder = new StringDecoder('utf8');
  const reader = new EventReader();
  let isFirst = true;
  for await (const chunk of body) {
    let text = decoder.write(chunk);
    if (isFirst && text !== '') {
      isFirst = false;
      if (text.startsWith('\ufeff')) text = text.slice(1);
    }
    yield* reader.take(text);
  }
  yield* reader.end(decoder.end());
}

class EventReader {
  /** The pieces of a line whose end hasn't come. */
  #line = [];
  #data = [];
  #length = 0;
  /** Whether the last piece ended with a CR: an LF that comes next belongs to it. */
  #afterReturn = false;

  /** The data of the events that this text completes. */
  take(text) {
    const events = [];
    let rest = this.#afterReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') this.#afterReturn = text.endsWith('\r');
    for (;;) {
      const at = rest.search(/[\r\n]/);
      if (at < 0) break;
      this.#grow(at);
      this.#endLine(this.#line.splice(0).join('') + rest.slice(0, at), events);
      rest = rest.slice(at + (rest.startsWith('\r\n', at) ? 2 : 1));
    }
    this.#grow(rest.length);
    if (rest !== '') this.#line.push(rest);
    return events;
  }

  end(text) {
    return this.take(`${text}\n\n`);
  }

  #endLine(line, events) {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.splice(0).join('\n'));
      this.#length = 0;
    } else if (line === 'data' || line.startsWith('data:')) {
      this.#data.push(line.slice(5).replace(/^ /, ''));
    }
  }

  #grow(length) {
    this.#length += length;
    if (this.#length > MAX_EVENT_LENGTH) throw Object.assign(new Error('an event is too large'), { code: 'TOO_LARGE' });
  }
}

module.exports = { eventData };
