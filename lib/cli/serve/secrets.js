'use strict';

// The token and the keys: given by flags, variables or files, or made at random.

const { randomBytes } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { flagOf } = require('../arguments.js');
const { Failure } = require('../errors.js');

/**
 * @param {Record<string, any>} values what the command was given
 * @param {Set<string>} fromFlag which of it by flags
 * @param {boolean} insecure do without what isn't given
 * @returns {{ values: string[] | undefined, isRandom: boolean }} undefined: without
 */
function readSecrets(values, fromFlag, name, insecure) {
  const given = ownOf(values, fromFlag, [name, `${name}File`]);
  const secrets = [given[name] ?? []].flat();
  const file = given[`${name}File`];
  if (file !== undefined) {
    try {
      secrets.push(...linesOf(file));
    } catch (error) {
      throw new Failure(`--${flagOf(`${name}File`)}: ${file} ${error.message}`, { cause: error });
    }
  }
  if (secrets.length > 0) return { values: [...new Set(secrets)], isRandom: false };
  return insecure
    ? { values: undefined, isRandom: false }
    : { values: [randomBytes(24).toString('hex')], isRandom: true };
}

/** A flag of the two replaces both variables: an old secret must not go on by way of the other one. */
function ownOf(values, fromFlag, names) {
  const flagged = names.filter((name) => fromFlag.has(name));
  const used = flagged.length > 0 ? flagged : names;
  return Object.fromEntries(used.map((name) => [name, values[name]]));
}

/** One secret a line. */
function linesOf(file) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`can't be read (${error.code ?? error.message})`, { cause: error });
  }
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines.filter((line) => line !== '');
  if (secrets.length === 0) throw new Error('is empty');
  if (secrets.some((line) => !/^[\x20-\x7e]+$/.test(line))) throw new Error('must hold printable ASCII');
  return secrets;
}

module.exports = { readSecrets };
