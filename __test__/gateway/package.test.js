'use strict';

// The export as a program finds it.

const path = require('node:path');
const { COMPILERS, compile, filesLoadedBy, node } = require('../support/exports.js');

const NAME = '@hardlydifficult/worker-server/gateway';

test('require, named import, import * and dynamic import have the same exports', () => {
  expect(node('-p', `JSON.stringify(Object.keys(require('${NAME}')))`)).toEqual(['openaiGateway']);
  const program = `
    import { openaiGateway } from '${NAME}';
    import * as all from '${NAME}';
    const later = await import('${NAME}');
    console.log(JSON.stringify([all.openaiGateway === openaiGateway, later.openaiGateway === openaiGateway]));`;
  expect(node('--input-type=module', '-e', program)).toEqual([true, true]);
});

test('it loads no addon, and no other part of the package but what is pure', () => {
  const loaded = filesLoadedBy(`require('${NAME}')`);
  const others = loaded.filter((file) => !file.startsWith('lib/gateway/')).sort();
  expect(others).toEqual([
    'lib/http/handler-options.js',
    'lib/server/settings.js',
    'lib/time/clock.js',
    'lib/workers/diagnostics.js',
    'lib/workers/handlers.js',
    'lib/workers/unknown-options.js',
  ]);
});

test.each(COMPILERS)('its types compile with %s, %s', (compiler, _name, options) => {
  const program = path.join(__dirname, 'programs/typed.ts');
  expect(compile(program, compiler, options)).toEqual({ status: 0, output: '' });
});
