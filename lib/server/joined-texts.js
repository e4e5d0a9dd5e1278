'use strict';

// Messages of one connection come as JSON arrays of up to ARRAY_TEXTS, one behind the other in a string: V8 parses an
// array of like objects faster than it does each of them.

const { ARRAY_TEXTS } = require('../native/abi.js');

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

/** Where the array ends that begins at `from`. It has `count` texts, whose lengths are in `lengths` from `at` on. */
function endOfArray(from, lengths, at, count) {
  let end = from + 1;
  for (let index = at; index < at + count; index += 1) end += lengths[index] + 1;
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
    return parse(joined.slice(start, start + lengths[at + index]));
  });
}

module.exports = { ARRAY_TEXTS, endOfArray, parse, parseArray };
