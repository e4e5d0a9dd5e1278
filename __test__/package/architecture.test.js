'use strict';

// docs/ARCHITECTURE.md is true for the tree: what it names is there, and its trips can be followed with grep.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '../..');
const page = fs.readFileSync(path.join(root, 'docs/ARCHITECTURE.md'), 'utf8');
const TRIPS = ['A registration in', 'A message in', 'A send out'];

/** What stands in code marks, each on one line, but for fenced blocks. */
const codeIn = (text) =>
  [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, code]) => code.replaceAll(/\s+/g, ' '));

const isPath = (code) => /^\w[\w.@-]*(\/[\w.@-]+)*\/?$/.test(code) && /\/|\.(?:rs|js|mjs|py|ts)$/.test(code);

/** The `file: name, name` in a text, each with the file and its names, or, where they are no names, the words. */
const placesIn = (text) =>
  codeIn(text)
    .map((code) => /^(\S+\.(?:rs|js)): (.+)$/.exec(code))
    .filter((match) => match !== null)
    .map(([, file, said]) => ({ file, said }));

const section = (title) => page.split(`\n### ${title}\n`)[1].split(/\n##+ /)[0];
const stepsOf = (title) =>
  section(title)
    .split(/^(?=\d+\. )/m)
    .slice(1)
    .map((step) => step.split('\n\n')[0]);

const escaped = (name) => name.replaceAll('#', '\\#');

/** Whether a source text defines a function of this name, outside its own tests. */
function defines(file, name) {
  const [shipped] = fs.readFileSync(path.join(root, file), 'utf8').split(/#\[cfg\(test\)\]\nmod tests \{/);
  const definitions = file.endsWith('.rs')
    ? [`\\bfn ${name}\\b`]
    : [
        `^  (?:(?:async|static|get) )*${escaped(name)}\\(`,
        `^(?:async )?function ${name}\\(`,
        `^  ${escaped(name)} = \\(`,
      ];
  return definitions.some((definition) => new RegExp(definition, 'm').test(shipped));
}

test('every file and folder that it names is there', () => {
  const named = [...codeIn(page).filter(isPath), ...placesIn(page).map(({ file }) => file)];
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((name) => !fs.existsSync(path.join(root, name)))).toEqual([]);
});

test('every function that it names is defined in the file that it names with it, and every test is there', () => {
  const missing = [];
  for (const { file, said } of placesIn(page)) {
    const names = said.split(', ');
    if (names.every((name) => /^#?\w+$/.test(name))) {
      for (const name of names) if (!defines(file, name)) missing.push(`${file}: ${name}`);
    } else if (!fs.readFileSync(path.join(root, file), 'utf8').includes(said)) missing.push(`${file}: ${said}`);
  }
  expect(missing).toEqual([]);
});

test.each(TRIPS)('%s: every step names a function', (title) => {
  const steps = stepsOf(title);
  expect(steps.length).toBeGreaterThan(5);
  expect(steps.filter((step) => placesIn(step).length === 0)).toEqual([]);
});

test('every folder of modules is in the table of places', () => {
  const table = page.split('\n## Where things live\n')[1].split('\n## ')[0];
  const folders = ['crates/core/src', 'crates/server/src', 'lib'].flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:rs|js)$/.test(entry.name) && entry.name !== 'tests.rs')
      .map((entry) => `${path.relative(root, entry.parentPath).split(path.sep).join('/')}/`),
  );
  expect([...new Set(folders)].filter((folder) => !table.includes(`\`${folder}\``))).toEqual([]);
});

test('each invariant has a test that names it', () => {
  const list = page.split('\n## Invariants\n')[1].split('\n## ')[0].split(/^- /m).slice(1);
  const numbers = list.map((item) => /^\*\*(I\d)\*\*/.exec(item)[1]);
  expect(numbers.length).toBeGreaterThan(7);
  expect(numbers).toEqual(numbers.map((_, index) => `I${index + 1}`));
  list.forEach((item, index) => {
    const number = numbers[index];
    expect(placesIn(item).map(({ said }) => said.slice(0, number.length).toUpperCase())).toEqual([number]);
  });
});

test('no line of it is longer than 120 columns', () => {
  expect(page.split('\n').filter((line) => [...line].length > 120)).toEqual([]);
});
