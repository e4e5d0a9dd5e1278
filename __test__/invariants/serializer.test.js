'use strict';

const { Serializer } = require('../../lib/server/serializer.js');
const { randomFrom } = require('../support/random.js');

const LONG = 'a "long" string\n'.repeat(1000);

/** One that was last given a long string. */
function alertSerializer() {
  const serializer = new Serializer();
  serializer.write(LONG);
  return serializer;
}

/** What the native side makes of pieces. */
const join = (pieces) => pieces.map((piece, index) => (index % 2 === 1 ? JSON.stringify(piece) : piece)).join('');

/** A value as JSON has them, with a few strings that are long, and a few that look like what stands for those. */
function randomValue(random, depth = 0) {
  const pick = (...values) => values[Math.floor(random() * values.length)];
  const strings = ['', 'short', '\u0000', '"\u0000', '\u0000"', '\\u0000', LONG, `${LONG}\u0000`, LONG];
  const make = (count, one) => Array.from({ length: Math.floor(random() * count) }, one);
  switch (depth < 4 ? pick('string', 'string', 'scalar', 'list', 'object', 'object') : 'string') {
    case 'scalar':
      return pick(null, true, 1.5, undefined, new Date(0));
    case 'list':
      return make(4, () => randomValue(random, depth + 1));
    case 'object':
      return Object.fromEntries(make(4, () => [pick(...strings, 'key'), randomValue(random, depth + 1)]));
    default:
      return pick(...strings);
  }
}

test('pieces, with their long strings written as JSON, are what JSON.stringify writes', () => {
  const random = randomFrom(7);
  let inPieces = 0;
  for (let count = 0; count < 1000; count += 1) {
    const message = { value: randomValue(random), other: randomValue(random) };
    const written = alertSerializer().write(message);
    if (Array.isArray(written)) inPieces += 1;
    expect((Array.isArray(written) ? join(written) : written) === JSON.stringify(message)).toBe(true);
  }
  expect(inPieces).toBeGreaterThan(100);
});

test('a long string comes as it is, between pieces of JSON text, once a long text came', () => {
  const serializer = new Serializer();
  const message = { a: 1, b: LONG, c: [LONG] };
  expect(serializer.write(message)).toBe(JSON.stringify(message));
  expect(serializer.write(message)).toEqual(['{"a":1,"b":', LONG, ',"c":[', LONG, ']}']);
});

test('short texts come whole, and so does the first long one after them', () => {
  const serializer = alertSerializer();
  expect(serializer.write({ a: 1 })).toBe('{"a":1}');
  expect(serializer.write({ a: LONG })).toBe(JSON.stringify({ a: LONG }));
  expect(serializer.write({ a: LONG })).toHaveLength(3);
});

test('what has no text has none', () => {
  for (const message of [undefined, () => {}, Symbol('s'), { toJSON: () => undefined }]) {
    expect(new Serializer().write(message)).toBeUndefined();
    expect(alertSerializer().write(message)).toBeUndefined();
  }
});

test('getters and toJSON are called once', () => {
  const calls = [];
  const message = {
    get a() {
      calls.push('a');
      return LONG;
    },
    b: {
      toJSON(key) {
        calls.push(key);
        return LONG;
      },
    },
  };
  expect(alertSerializer().write(message)).toEqual(['{"a":', LONG, ',"b":', LONG, '}']);
  expect(calls).toEqual(['a', 'b']);
});

test('a toJSON may write another message', () => {
  const serializer = alertSerializer();
  let inner;
  const message = { a: LONG, toJSON: () => ((inner = serializer.write([LONG])), { b: LONG }) };
  expect(serializer.write(message)).toEqual(['{"b":', LONG, '}']);
  expect(inner).toEqual(['[', LONG, ']']);
});

test('after a long text without long strings the next 64 long texts are not looked through', () => {
  const serializer = alertSerializer();
  const many = Array(5000).fill('short');
  expect(serializer.write(many)).toBe(JSON.stringify(many));
  for (let count = 0; count < 64; count += 1) expect(typeof serializer.write(LONG)).toBe('string');
  expect(typeof serializer.write(LONG)).toBe('string');
  expect(serializer.write(LONG)).toEqual(['', LONG, '']);
});

test('what JSON.stringify throws is thrown', () => {
  expect(() => alertSerializer().write({ a: LONG, n: 1n })).toThrow(TypeError);
  const cycle = { a: LONG };
  cycle.self = cycle;
  expect(() => alertSerializer().write(cycle)).toThrow(TypeError);
});
