'use strict';

// The export as a program finds it.

const fs = require('node:fs');
const path = require('node:path');
const { COMPILERS, compile, filesLoadedBy, node, root } = require('../support/exports.js');

const NAME = '@hardlydifficult/worker-server/status';

test('require, named import, import * and dynamic import give the same exports', () => {
  expect(node('-p', `JSON.stringify(Object.keys(require('${NAME}')))`)).toEqual(['statusPage']);
  const program = `
    import { statusPage } from '${NAME}';
    import * as all from '${NAME}';
    const later = await import('${NAME}');
    console.log(JSON.stringify([all.statusPage === statusPage, later.statusPage === statusPage]));`;
  expect(node('--input-type=module', '-e', program)).toEqual([true, true]);
});

test('it loads no addon, and no other part of the package but what is pure', () => {
  const loaded = filesLoadedBy(`require('${NAME}')`);
  const others = loaded.filter((file) => !file.startsWith('lib/status/')).sort();
  expect(others).toEqual([
    'lib/http/handler-options.js',
    'lib/http/this-machine.js',
    'lib/server/settings.js',
    'lib/time/clock.js',
    'lib/workers/diagnostics.js',
    'lib/workers/handlers.js',
    'lib/workers/unknown-options.js',
    'package.json',
  ]);
});

test('the modules of the page can be sent in one script element', () => {
  const folder = path.join(root, 'lib/status/page');
  const names = fs.readdirSync(folder);
  expect(names).toContain('main.js');
  for (const name of names.filter((each) => /\.(?:js|css)$/.test(each))) {
    const text = fs.readFileSync(path.join(folder, name), 'utf8');
    expect([name, /<\/(?:script|style)|<!--/i.test(text)]).toEqual([name, false]);
    for (const [, required] of text.matchAll(/require\('(.*?)'\)/g)) expect(names).toContain(path.basename(required));
  }
});

test.each(COMPILERS)('its types compile with %s, %s', (compiler, _name, options) => {
  const program = path.join(__dirname, 'programs/typed.ts');
  expect(compile(program, compiler, options)).toEqual({ status: 0, output: '' });
});
