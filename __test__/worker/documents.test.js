'use strict';

// docs/WORKERS.md names every log line with its level, and every code that a signal can abort with.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '../..');
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8');
const guide = read('docs/WORKERS.md');
const sources = fs
  .readdirSync(path.join(root, 'lib/worker'), { recursive: true })
  .filter((name) => name.endsWith('.js'))
  .map((name) => read(path.join('lib/worker', name)))
  .join('\n');

test('every log line is in the guide, on its level, and no other', () => {
  const lines = new Set();
  const texts = (code) => [...code.matchAll(/'([^']+)'/g)].map(([, text]) => text);
  for (const [, level, code] of sources.matchAll(/ogger\.(debug|warn|error)\(([^{]*)\{/g)) {
    for (const text of texts(code)) lines.add(`${level}: ${text}`);
  }
  for (const [, level, code] of sources.matchAll(/#log\(\s*'(debug|warn|error)',([^{]*)\{/g)) {
    for (const text of texts(code)) lines.add(`${level}: ${text}`);
  }
  for (const [, text] of sources.matchAll(/malformed\(\s*'([^']+)'/g)) lines.add(`warn: ${text}`);
  const table = guide.split('### Log lines')[1].split('\n### ')[0];
  const inTable = [...table.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, text, level]) => `${level}: ${text}`);
  expect(lines.size).toBeGreaterThan(10);
  expect(inTable.sort()).toEqual([...lines].sort());
});

test('every code that a signal can abort with is in the guide and in the types', () => {
  const codes = [
    'ABORTED',
    'TIMEOUT',
    'SUPERSEDED',
    'STOPPING',
    'UNKNOWN',
    'DISCONNECTED',
    'DRAIN_TIMEOUT',
    'RESUME_OVERFLOW',
    'MESSAGE_TOO_BIG',
  ];
  const table = guide.split('| `signal.reason.code` | |')[1].split('\n\n')[0];
  expect([...table.matchAll(/^\| `(\w+)`/gm)].map(([, code]) => code)).toEqual(codes);
  const types = read('lib/worker/index.d.ts');
  for (const code of codes) expect(types).toContain(`\`${code}\``);
  // Those that the worker itself sends.
  const own = [...sources.matchAll(/(?:abort|abortAll|#abort|#fail)\(\s*(?:attempt,\s+)?'([A-Z_]+)'/g)].map(
    ([, code]) => code,
  );
  expect([...new Set(own)].sort()).toEqual([
    'DISCONNECTED',
    'DRAIN_TIMEOUT',
    'MESSAGE_TOO_BIG',
    'RESUME_OVERFLOW',
    'TIMEOUT',
  ]);
});
