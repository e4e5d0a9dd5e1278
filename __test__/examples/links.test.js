'use strict';

// The links of the documents lead to files that are there, and to headings in them.

const fs = require('node:fs');
const path = require('node:path');
const { readDocument } = require('../support/doc-examples.js');

const root = path.join(__dirname, '../..');
const documents = ['README.md', 'CONTRIBUTING.md', 'python/README.md'].concat(
  fs
    .readdirSync(path.join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);
/** Where the README's links lead, since its documents are not in the package. */
const REPOSITORY = 'https://github.com/hardlydifficult/worker-server/blob/main/';

/** The anchors that GitHub makes of a document's headings. */
const anchorsOf = (text) =>
  [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );

/** The links of a document to this repository, each as [file, anchor]. */
function linksIn(name) {
  const text = readDocument(name).replace(/^```.*?^```/gms, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => (target.startsWith(REPOSITORY) ? [target.slice(REPOSITORY.length), root] : [target, null]))
    .filter(([target]) => !/^[a-z]+:/.test(target))
    .map(([target, from]) => {
      const [file, anchor] = target.split('#');
      const folder = from ?? path.dirname(path.join(root, name));
      return [file === '' ? path.join(root, name) : path.join(folder, file), anchor];
    });
}

test.each(documents)('the links in %s lead somewhere', (name) => {
  const broken = linksIn(name).filter(([file, anchor]) => {
    if (!fs.existsSync(file)) return true;
    return anchor !== undefined && !anchorsOf(fs.readFileSync(file, 'utf8')).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test('the documents have links, so the tests above can fail', () => {
  expect(documents.flatMap(linksIn).filter(([, anchor]) => anchor !== undefined).length).toBeGreaterThan(10);
});
