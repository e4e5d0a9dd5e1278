'use strict';

// The export as a program finds it.

const path = require('node:path');
const { COMPILERS, compile, filesLoadedBy, node } = require('../support/exports.js');

const NAME = '@hardlydifficult/worker-server/cluster';

test('require, named import, import * and dynamic import give the same exports', () => {
  const names = ['memoryAdapter', 'natsAdapter', 'redisAdapter'];
  expect(node('-p', `JSON.stringify(Object.keys(require('${NAME}')).sort())`)).toEqual(names);
  const program = `
    import { memoryAdapter, natsAdapter, redisAdapter } from '${NAME}';
    import * as all from '${NAME}';
    const later = await import('${NAME}');
    const mine = { memoryAdapter, natsAdapter, redisAdapter };
    const isSame = (other) => Object.keys(mine).every((name) => other[name] === mine[name]);
    console.log(JSON.stringify([isSame(all), isSame(later)]));`;
  expect(node('--input-type=module', '-e', program)).toEqual([true, true]);
});

test('it loads nothing but its own folder, and no addon', () => {
  const loaded = filesLoadedBy(`require('${NAME}')`);
  expect(loaded.filter((file) => !file.startsWith('lib/cluster/'))).toEqual([]);
});

test.each(COMPILERS)('its types compile with %s, %s', (compiler, _name, options) => {
  const program = path.join(__dirname, 'programs/typed.ts');
  expect(compile(program, compiler, options)).toEqual({ status: 0, output: '' });
});
