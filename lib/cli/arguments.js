'use strict';

// What a command was given: flags, the variables that stand for them, and positional arguments. An error names the flag
// or the variable and never its value, which may be a secret.

const { parseArgs } = require('node:util');
const { UsageError } = require('./errors.js');

const VARIABLE_PREFIX = 'WORKER_SERVER_';
const YES = new Set(['1', 'true', 'yes', 'on']);
const NO = new Set(['0', 'false', 'no', 'off']);

const variableOf = (flag) => VARIABLE_PREFIX + flag.toUpperCase().replaceAll('-', '_');
const flagOf = (member) => member.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const memberOf = (flag) => flag.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

/**
 * @typedef {object} Flag
 * @property {(text: string) => unknown} [read] makes a value of the text, or throws an Error that says what is
 *   expected; a flag without it takes no value
 * @property {boolean} [multiple] may be given several times: its value is a list
 * @property {boolean} [required]
 */

/**
 * @param {{ flags: Record<string, Flag>, positionals?: string[] }} command
 * @param {string[]} argv what follows the command's name
 * @param {Record<string, string | undefined>} env
 * @returns {{ help: boolean, version: boolean, values: Record<string, any>, fromFlag: Set<string> }} values by the
 *   names of flags and positionals, in camel case; `fromFlag` has those that don't come from a variable
 * @throws {UsageError}
 */
function readArguments({ flags, positionals = [] }, argv, env) {
  const { values: given, positionals: places } = parse(flags, argv);
  const read = {
    help: given.help === true,
    version: given.version === true,
    values: Object.create(null),
    fromFlag: new Set(),
  };
  if (read.help || read.version) return read;
  for (const [flag, options] of Object.entries(flags)) {
    const { value, isFlag } = valueOf(flag, options, given, env);
    if (value === undefined) continue;
    read.values[memberOf(flag)] = value;
    if (isFlag) read.fromFlag.add(memberOf(flag));
  }
  readPositionals(positionals, places, read.values);
  for (const [flag, { required }] of Object.entries(flags)) {
    if (required && read.values[memberOf(flag)] === undefined)
      throw new UsageError(`--${flag} (or ${variableOf(flag)}) is missing`);
  }
  return read;
}

function parse(flags, argv) {
  const options = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } };
  for (const [flag, { read, multiple = false }] of Object.entries(flags)) {
    options[flag] = read === undefined ? { type: 'boolean' } : { type: 'string', multiple };
  }
  try {
    return parseArgs({ args: argv, options, allowPositionals: true });
  } catch (error) {
    // Node goes on to explain, in further lines and sentences.
    throw new UsageError(error.message.split(/\n|\. /)[0]);
  }
}

/** What a flag, or else its variable, says. A variable that is empty is none. */
function valueOf(flag, { read, multiple }, given, env) {
  const variable = variableOf(flag);
  const isFlag = given[flag] !== undefined;
  const text = isFlag ? given[flag] : env[variable] || undefined;
  if (text === undefined) return { value: undefined, isFlag };
  const source = isFlag ? `--${flag}` : variable;
  if (read === undefined) return { value: isFlag ? text : readSwitch(text, source), isFlag };
  const readOne = (one) => {
    if (one === '') throw new UsageError(`${source} must not be empty`);
    try {
      return read(one);
    } catch (error) {
      throw new UsageError(`${source} must be ${error.message}`);
    }
  };
  return { value: multiple ? [text].flat().map(readOne) : readOne(text), isFlag };
}

function readSwitch(text, source) {
  const word = text.toLowerCase();
  if (!YES.has(word) && !NO.has(word)) throw new UsageError(`${source} must be true or false`);
  return YES.has(word) || undefined;
}

function readPositionals(names, places, values) {
  if (places.length < names.length) throw new UsageError(`${names[places.length]} is missing`);
  if (places.length > names.length) throw new UsageError(`unexpected argument '${places[names.length]}'`);
  names.forEach((name, i) => {
    if (places[i] === '') throw new UsageError(`${name} must not be empty`);
    values[name.toLowerCase()] = places[i];
  });
}

// ---- what a flag's text may be

const anyText = (text) => text;

/** Goes into a header, so it must fit there. */
function secret(text) {
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)) throw new Error('printable ASCII');
  return text;
}

function wholeNumber(least, most, expected) {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(number >= least && number <= most)) throw new Error(expected);
    return number;
  };
}

const port = wholeNumber(0, 65_535, 'a whole number from 0 to 65535');
const count = wholeNumber(1, Number.MAX_SAFE_INTEGER, 'a whole number from 1');

function durationMs(text) {
  const number = text === 'Infinity' || /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(number)) throw new Error('a number of milliseconds that is not negative, or Infinity');
  return number;
}

/** A URL with one of these protocols, without a fragment, and without credentials and query unless they are allowed. */
function url(protocols, { bare = true } = {}) {
  const expected = `a ${protocols.join(' or ')} URL${bare ? ' without credentials, query and fragment' : ''}`;
  return (text) => {
    let parsed;
    try {
      parsed = new URL(text);
    } catch {
      throw new Error(expected);
    }
    const isBare = parsed.username === '' && parsed.password === '' && parsed.search === '';
    if (!protocols.includes(parsed.protocol) || parsed.hash !== '' || (bare && !isBare)) throw new Error(expected);
    return parsed;
  };
}

/** Names with commas between them. */
function names(text) {
  const list = text.split(',').map((name) => name.trim());
  if (list.includes('')) throw new Error('names with commas between them');
  return list;
}

module.exports = { anyText, count, durationMs, flagOf, names, port, readArguments, secret, url };
