// Which files the quickstart works on, and their text.

import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

const LARGEST_BYTES = 8 * 1024 * 1024;

/** The kinds of file that are taken for source code; everything else is prose. */
const CODE = new Set(
  '.c .cc .cpp .cs .css .go .h .hpp .java .js .json .jsx .kt .mjs .cjs .php .py .rb .rs .sh .sql .swift .toml .ts .tsx .yaml .yml'.split(
    ' ',
  ),
);

/** This repository's own documents, and some of its code. */
export async function defaultFiles(root) {
  const wanted = ['README.md', 'CONTRIBUTING.md', 'LICENSE', 'index.d.ts', 'index.js', 'Cargo.toml'];
  for (const folder of ['docs', 'lib', 'examples']) {
    const names = await readdir(path.join(root, folder)).catch(() => []);
    wanted.push(...names.filter((name) => /\.(md|js|mjs|py)$/.test(name)).map((name) => path.join(folder, name)));
  }
  const files = wanted.map((name) => path.join(root, name));
  const present = await Promise.all(
    files.map((file) =>
      stat(file).then(
        (found) => found.isFile(),
        () => false,
      ),
    ),
  );
  return files.filter((_, index) => present[index]);
}

/** Reads a text file, or throws an Error that says in plain words why it can't be worked on. */
export async function readText(file) {
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

/** 'code' or 'prose', by the file's name. */
export function kindOf(file) {
  return CODE.has(path.extname(file).toLowerCase()) ? 'code' : 'prose';
}
