'use strict';

const { inspect } = require('node:util');

/** A name without what people write differently: `auth_token`, `AuthToken`. */
const plain = (name) => name.toLowerCase().replaceAll(/[-_ ]/g, '');

/** How many letters have to be put in, left out or replaced to make one word of the other. */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/** No name of an option is nearly as long. */
const MAX_LENGTH = 64;
/** A misspelt word hardly has more mistakes than this. */
const MAX_MISTAKES = 2;

/** The one of `known` that was probably meant by `name`, if any. */
function nearest(name, known) {
  if (name.length > MAX_LENGTH) return undefined;
  const word = plain(name);
  const found = known
    .map((candidate) => ({ candidate, mistakes: distance(word, plain(candidate)) }))
    .sort((a, b) => a.mistakes - b.mistakes)[0];
  if (found.mistakes <= Math.min(MAX_MISTAKES, word.length / 2)) return found.candidate;
  // Part of a name: `token`, `heartbeatTimeout`.
  return word.length < 4 ? undefined : known.find((candidate) => plain(candidate).includes(word));
}

/** How an unknown name is shown, with the one of `known` that was probably meant. `path` is where it stands. */
function show(name, known, path = '') {
  const near = nearest(name, known);
  const shown = inspect(`${path}${name}`);
  return near === undefined ? shown : `${shown} (did you mean ${path}${near}?)`;
}

const unknownIn = (object, known) => Object.keys(object ?? {}).filter((name) => !known.includes(name));

/**
 * Warns, once, of the options that aren't known, and of such members of their `limits` and of further parts. No value is
 * looked at: it may be a token.
 *
 * @param names the names of all options
 * @param limitNames the names of all limits
 * @param parts `[object, names, path]` of each further object among the options
 */
function warnOfUnknown(options, limits, names, limitNames, parts = []) {
  const unknown = [
    ...unknownIn(options, names).map((name) =>
      // One level too high.
      limitNames.includes(name) ? `${inspect(name)} (did you mean limits.${name}?)` : show(name, names),
    ),
    ...[[limits, limitNames, 'limits.'], ...parts].flatMap(([object, known, path]) =>
      unknownIn(object, known).map((name) => show(name, known, path)),
    ),
  ];
  if (unknown.length > 0) emitWarning(unknown);
}

/** The same of the parts of an argument. */
function warnOfUnknownParts(parts) {
  const unknown = parts.flatMap(([object, known, path]) =>
    unknownIn(object, known).map((name) => show(name, known, path)),
  );
  if (unknown.length > 0) emitWarning(unknown);
}

/** The same of the configuration of a `ConnectionHandler`. */
function warnOfUnknownConfig(config, names) {
  const unknown = unknownIn(config, names);
  if (unknown.length > 0) emitWarning(unknown.map((name) => show(name, names)));
}

function emitWarning(unknown) {
  process.emitWarning(`These options are not known, and are ignored: ${unknown.join(', ')}`, {
    code: 'WORKER_SERVER_UNKNOWN_OPTION',
  });
}

module.exports = { warnOfUnknown, warnOfUnknownConfig, warnOfUnknownParts };
