'use strict';

const { selectorText } = require('../../../lib/requests/selector.js');

const read = (where) => selectorText(where, 'options.where');

test('a selector crosses as JSON that says what it says, infinite bounds included', () => {
  const where = {
    gpu: 'a100',
    count: 2,
    spot: false,
    zone: ['a', 'b'],
    none: [],
    vram: { gte: 40, lt: Infinity, not: 64 },
  };
  expect(read(where)).toBe(
    '{"gpu":"a100","count":2,"spot":false,"zone":["a","b"],"none":[],"vram":{"gte":40,"lt":1e999,"not":64}}',
  );
  expect(read({})).toBe('{}');
  expect(read({ n: { gt: -Infinity } })).toBe('{"n":{"gt":-1e999}}');
});

test.each([
  [null, 'options.where must be an object, got null'],
  [[], 'options.where must be an object'],
  [{ a: null }, 'options.where.a must be'],
  [{ a: undefined }, 'options.where.a must be'],
  [{ a: NaN }, 'options.where.a must be'],
  [{ a: ['x', null] }, 'options.where.a[1] must be'],
  [{ a: {} }, 'options.where.a must be an object with one of gt, gte, lt, lte and not'],
  [{ a: { lt: undefined } }, 'options.where.a must be an object with one of gt, gte, lt, lte and not'],
  [{ a: { like: 'x' } }, 'options.where.a.like is not an operator'],
  [{ a: { lt: '3' } }, 'options.where.a.lt must be a number'],
  [{ a: { not: [1] } }, 'options.where.a.not must be'],
])('%j is a TypeError that says where and what', (where, message) => {
  expect(() => read(where)).toThrow(TypeError);
  expect(() => read(where)).toThrow(message);
});
