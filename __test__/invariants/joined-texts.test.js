'use strict';

const { endOfArray, parseArray } = require('../../lib/server/joined-texts.js');

/** Texts as they come: an array behind something else, and their lengths behind something else. */
function join(texts) {
  return {
    joined: `before[${texts.join(',')}]behind`,
    from: 6,
    lengths: [NaN, ...texts.map((text) => text.length)],
    at: 1,
  };
}

/** Parses an array up to where it ends. */
function parseAll(joined, from, lengths, at, count) {
  return parseArray(joined, from, endOfArray(from, lengths, at, count), lengths, at, count);
}

test('an array of texts is parsed, and what comes behind it is found', () => {
  const { joined, from, lengths, at } = join(['{"a":1}', '[2]', '"3"']);
  expect(parseAll(joined, from, lengths, at, 3)).toEqual([{ a: 1 }, [2], '3']);
  expect(joined.slice(endOfArray(from, lengths, at, 3))).toBe('behind');
});

test('a text by itself is parsed', () => {
  const { joined, from, lengths, at } = join(['{"a":1}']);
  expect(parseAll(joined, from, lengths, at, 1)).toEqual([{ a: 1 }]);
});

test('a text that V8 refuses takes none of the others with it', () => {
  for (const bad of ['{"a":01}', ']', '[', '{},{}', '']) {
    const { joined, from, lengths, at } = join(['{"a":1}', bad, '{"b":2}']);
    expect(parseAll(joined, from, lengths, at, 3)).toEqual([{ a: 1 }, undefined, { b: 2 }]);
  }
});
