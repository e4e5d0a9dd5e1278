'use strict';

// The documents that the demo summarises: which files, and their text.

const { readdir, readFile, stat } = require('node:fs/promises');
const path = require('node:path');
const { isSource, proseOf } = require('./prose.js');

const LARGEST_BYTES = 8 * 1024 * 1024;
/** Enough to see how the work is spread, and soon over. */
const MOST_DOCUMENTS = 24;

/**
 * What is worth a summary, the first ones first: the package has the first line's, a checkout of the repository all.
 */
const PLACES = [
  ['.', /^(README|CHANGELOG|CONTRIBUTING)\.md$/],
  ['docs', /\.md$/],
  ['python', /^README\.md$/],
  ['.', /^index\.d\.ts$/],
  ['lib/worker', /^index\.d\.ts$/],
  ['lib/gateway', /^index\.d\.ts$|\.js$/],
  ['lib/requests', /^types\.d\.ts$|\.js$/],
];

/** The package's own documents: `{ file, name }` each. */
async function ownDocuments(root) {
  const found = [];
  for (const [folder, pattern] of PLACES) {
    const names = await readdir(path.join(root, folder)).catch(() => []);
    found.push(...names.filter((name) => pattern.test(name)).map((name) => path.join(folder, name)));
  }
  return found.slice(0, MOST_DOCUMENTS).map((name) => ({ file: path.join(root, name), name }));
}

/**
 * @param {{ file: string, name: string }[]} files
 * @returns {Promise<{ documents: { name: string, text: string, words: number }[], leftOut: { name: string, reason:
 *   string }[] }>}
 */
async function readDocuments(files) {
  const documents = [];
  const leftOut = [];
  for (const { file, name } of files) {
    try {
      const text = await readText(file);
      documents.push({ name, text: proseOf(text, isSource(file)), words: text.match(/\S+/g)?.length ?? 0 });
    } catch (error) {
      leftOut.push({ name, reason: error.message });
    }
  }
  return { documents, leftOut };
}

/** Reads a text file, or throws an Error that says in plain words why it can't be summarised. */
async function readText(file) {
  const found = await stat(file).catch((error) => {
    throw new Error(error.code === 'ENOENT' ? 'there is no such file' : error.message);
  });
  if (found.isDirectory()) throw new Error('it is a folder; name the files in it');
  if (!found.isFile()) throw new Error('it is no regular file');
  if (found.size > LARGEST_BYTES) throw new Error(`it is larger than ${LARGEST_BYTES / 1024 / 1024} MiB`);
  const bytes = await readFile(file).catch((error) => {
    throw new Error(error.code === 'EACCES' ? 'it may not be read' : error.message);
  });
  if (bytes.includes(0)) throw new Error('it is not a text file');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('it is not a text file (not UTF-8)');
  }
}

module.exports = { ownDocuments, readDocuments };
