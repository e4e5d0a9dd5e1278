'use strict';

const { EventKind, HEAD_FIELDS, LENGTH_BITS } = require('../../lib/native/abi.js');
const { Batch } = require('../../lib/server/event-batch.js');
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

test('of a chunk that follows another only the data crosses, with the length of its message', () => {
  const head = '{"type":"request_chunk","requestId":"r","attempt":2,"seq":7,"data":"a"}';
  const parts = [head, '"b"', '{"c":1}', '{"type":"x"}'];
  const [, second, third] = parts.map((part) => part.length | (100 << LENGTH_BITS));
  const lengths = [head.length, second, third, parts[3].length];
  const fields = [...Array(HEAD_FIELDS).fill(NaN), EventKind.Texts, 5, parts.length, 0, ...lengths];
  const batch = new Batch(fields, fields.length, `[${parts.join(',')}]`, null);
  const taken = [];
  while (!batch.isDone) {
    batch.take();
    const message = batch.isNextChunk ? batch.wholeChunk() : batch.message;
    expect(JSON.parse(batch.text)).toEqual(message);
    taken.push([message, batch.byteLength]);
  }
  expect(taken).toEqual([
    [JSON.parse(head), head.length],
    [{ ...JSON.parse(head), seq: 8, data: 'b' }, 100],
    [{ ...JSON.parse(head), seq: 9, data: { c: 1 } }, 100],
    [{ type: 'x' }, parts[3].length],
  ]);
});
