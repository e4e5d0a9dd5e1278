'use strict';

const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { pathToFileURL } = require('node:url');

const module_ = pathToFileURL(path.join(__dirname, '../../examples/text-work.mjs')).href;

/** Jest runs no ES modules: has another process do the work. The texts are the batch, the first one is analysed. */
function analyse(kind, ...texts) {
  const code = `
    import { analyse, corpusOf } from ${JSON.stringify(module_)};
    import { readFileSync } from 'node:fs';
    const { kind, texts } = JSON.parse(readFileSync(0, 'utf8'));
    console.log(JSON.stringify(analyse(texts[0], kind, corpusOf(texts))));`;
  const input = JSON.stringify({ kind, texts });
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { input, timeout: 15_000 }));
}

test('lines, words and characters are counted', () => {
  expect(analyse('prose', 'Two lines,\nfive words. 🦀\n')).toMatchObject({ lines: 2, words: 4, characters: 25 });
  expect(analyse('prose', '')).toEqual({ lines: 0, words: 0, characters: 0, terms: [], extract: [] });
});

test('a term that all texts have tells less than one that only this text has', () => {
  const { terms } = analyse('prose', 'ship ship harbour harbour', 'ship in sight', 'ship at sea');
  expect(terms).toEqual(['harbour', 'ship']);
});

test('words that are names of object members are words like others', () => {
  expect(analyse('prose', 'constructor hasOwnProperty', 'constructor again').terms).toEqual([
    'hasownproperty',
    'constructor',
  ]);
});

test('the extract of a document has three sentences, in their order, and no headings, tables or code', () => {
  const text = [
    '# A heading about lanterns and lanterns',
    'The first lantern was lit at dusk. It was late. The second lantern was lit at night by the keeper.',
    '```\nconst lantern = lit(lantern, lantern, lantern);\n```',
    '| lantern | lantern | lantern | lantern | lantern |',
    'The third lantern was never lit at all. Some more words follow here that say little.',
  ].join('\n\n');
  const sentences = analyse('prose', text).extract;
  expect(sentences).toHaveLength(3);
  expect(sentences).toEqual([...sentences].sort((a, b) => text.indexOf(a) - text.indexOf(b)));
  for (const sentence of sentences) expect(sentence).not.toMatch(/heading|const|\|/);
});

test('the extract of a program is taken from its comments', () => {
  const text =
    '// Opens the gate for every visitor.\nopen(gate);\n/**\n * Closes the gate again at night.\n * @param gate Which.\n */\n';
  expect(analyse('code', text).extract).toEqual([
    'Opens the gate for every visitor.',
    'Closes the gate again at night.',
  ]);
});

test('a large text of nothing but markup ends', () => {
  for (const line of ['/* \n', '```\n', '<!-- ', '[a](', '**', '# ']) {
    for (const kind of ['prose', 'code']) analyse(kind, line.repeat(100_000));
  }
}, 60_000);
