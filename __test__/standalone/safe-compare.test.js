'use strict';

const { safeCompare } = require('../support/package.js');

test.each(['', 'a', 'secret', 'ünïcödé 🦀', 'with\0zero', 'x'.repeat(100_000)])(
  'equal strings are equal (case %#)',
  (text) => {
    // Another string with the same content, so that identity can't decide.
    expect(safeCompare(text, [...text].join(''))).toBe(true);
  },
);

test.each([
  ['', 'a'],
  ['a', ''],
  ['secret', 'secreT'],
  ['Secret', 'secret'],
  ['secret', 'secret '],
  ['secret', 'secret\0'],
  ['é', 'e'],
  ['é', 'e\u0301'],
  ['🦀', '🦞'],
  ['x'.repeat(100_000), `${'x'.repeat(99_999)}y`],
])('strings that differ are not equal (case %#)', (a, b) => {
  expect(safeCompare(a, b)).toBe(false);
  expect(safeCompare(b, a)).toBe(false);
});
