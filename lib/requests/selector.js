'use strict';

const { wrongType } = require('../workers/handlers.js');

const BOUNDS = Object.freeze(['gt', 'gte', 'lt', 'lte']);

/**
 * A `WorkerSelector` as the native side reads it: JSON text, keys in the caller's order. Whatever the caller does to
 * its object afterwards does not matter.
 *
 * @throws {TypeError} that names the key, what it must be and what it was
 */
function selectorText(where, name) {
  if (typeof where !== 'object' || where === null || Array.isArray(where)) throw wrongType(name, 'an object', where);
  const members = Object.entries(where).map(
    ([key, wanted]) => `${JSON.stringify(key)}:${wantedText(wanted, `${name}.${key}`)}`,
  );
  return `{${members.join(',')}}`;
}

function wantedText(wanted, name) {
  if (isScalar(wanted)) return scalarText(wanted, name);
  if (Array.isArray(wanted)) {
    return `[${Array.from(wanted, (one, index) => scalarText(one, `${name}[${index}]`)).join(',')}]`;
  }
  if (typeof wanted !== 'object' || wanted === null) {
    throw wrongType(name, 'a string, a number, a boolean, a list of those, or an object of bounds', wanted);
  }
  const members = Object.entries(wanted).filter(([, value]) => value !== undefined);
  if (members.length === 0) throw wrongType(name, 'an object with one of gt, gte, lt, lte and not', wanted);
  const texts = members.map(([operator, value]) => {
    const path = `${name}.${operator}`;
    if (operator === 'not') return `"not":${scalarText(value, path)}`;
    if (!BOUNDS.includes(operator))
      throw new TypeError(`${path} is not an operator; there are gt, gte, lt, lte and not`);
    if (typeof value !== 'number' || Number.isNaN(value)) throw wrongType(path, 'a number', value);
    return `"${operator}":${numberText(value)}`;
  });
  return `{${texts.join(',')}}`;
}

const isScalar = (value) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';

function scalarText(value, name) {
  if (!isScalar(value) || Number.isNaN(value)) throw wrongType(name, 'a string, a number or a boolean', value);
  return typeof value === 'number' ? numberText(value) : JSON.stringify(value);
}

/** JSON has no infinity, but a number beyond a double's range, which every reader of doubles takes for one. */
function numberText(value) {
  if (Number.isFinite(value)) return JSON.stringify(value);
  return value > 0 ? '1e999' : '-1e999';
}

module.exports = { selectorText };
