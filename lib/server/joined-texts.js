'use strict';

// Messages of one connection come as JSON arrays of up to ARRAY_TEXTS, one behind the other in a string: V8 parses an
// array of like objects faster than it does each of them. Of a chunk that follows the one before it only the data is
// there.

const { ARRAY_TEXTS, LENGTH_BITS } = require('../native/abi.js');

const LENGTH_MASK = 2 ** LENGTH_BITS - 1;

/**
 * What a text says; undefined if it is no JSON. The native side found it to be JSON, but should V8 ever think
 * otherwise, the other messages must not suffer for it.
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The length of the message, if `field`, one of the lengths, is that of the data of the next chunk; else 0. */
const nextChunkLength = (field) => field >>> LENGTH_BITS;

/** The text of the message of a chunk of whose text only the data has come. */
const chunkText = (requestId, attempt, seq, dataText) =>
  `{"type":"request_chunk","requestId":${JSON.stringify(requestId)},"attempt":${attempt},"seq":${seq},"data":${dataText}}`;

/** Where the array ends that begins at `from`. It has `count` texts, whose lengths are in `lengths` from `at` on. */
function endOfArray(from, lengths, at, count) {
  let end = from + 1;
  for (let index = at; index < at + count; index += 1) end += (lengths[index] & LENGTH_MASK) + 1;
  return end;
}

/**
 * The elements of the array that ends at `end`, those that `parse` knows nothing of as undefined. The others as for
 * `endOfArray`.
 */
function parseArray(joined, from, end, lengths, at, count) {
  if (count === 1) return [parse(joined.slice(from + 1, end - 1))];
  const elements = parse(joined.slice(from, end));
  if (elements?.length === count) return elements;
  return Array.from({ length: count }, (_, index) => {
    const start = endOfArray(from, lengths, at, index);
    return parse(joined.slice(start, start + (lengths[at + index] & LENGTH_MASK)));
  });
}

module.exports = { ARRAY_TEXTS, chunkText, endOfArray, nextChunkLength, parse, parseArray };
