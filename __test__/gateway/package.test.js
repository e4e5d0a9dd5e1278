'use strict';

// The export as a program finds it.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '../..');
const NAME = '@hardlydifficult/worker-server/gateway';

const node = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );

test('require, named import, import * and dynamic import give the same exports', () => {
  expect(node('-p', `JSON.stringify(Object.keys(require('${NAME}')))`)).toEqual(['openaiGateway']);
  const program = `
    import { openaiGateway } from '${NAME}';
    import * as all from '${NAME}';
    const later = await import('${NAME}');
    console.log(JSON.stringify([all.openaiGateway === openaiGateway, later.openaiGateway === openaiGateway]));`;
  expect(node('--input-type=module', '-e', program)).toEqual([true, true]);
});

test('it loads no addon, and no other part of the package but what is pure', () => {
  const program = `require('${NAME}'); console.log(JSON.stringify(Object.keys(require.cache)));`;
  const loaded = node('-e', program).map((file) => path.relative(root, file).split(path.sep).join('/'));
  const others = loaded.filter((file) => !file.startsWith('lib/gateway/')).sort();
  expect(others).toEqual(['lib/server/settings.js', 'lib/workers/handlers.js', 'lib/workers/unknown-options.js']);
});

test.each([
  ['typescript', 'node16', { module: 'node16' }],
  ['typescript-7', 'with every strict flag', { module: 'nodenext', exactOptionalPropertyTypes: true }],
  ['typescript', 'node10', { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' }],
])('its types compile with %s, %s', (compiler, _name, options) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gateway-types-'));
  try {
    const modules = path.join(folder, 'node_modules');
    fs.mkdirSync(path.join(modules, '@hardlydifficult'), { recursive: true });
    fs.symlinkSync(root, path.join(modules, '@hardlydifficult/worker-server'), 'junction');
    fs.symlinkSync(path.join(root, 'node_modules/@types'), path.join(modules, '@types'), 'junction');
    fs.copyFileSync(path.join(__dirname, 'programs/typed.ts'), path.join(folder, 'typed.ts'));
    const base = {
      strict: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022'],
      types: ['node'],
      skipLibCheck: false,
    };
    const settings = { compilerOptions: { ...base, ...options }, files: ['typed.ts'] };
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(settings));
    const bin = path.join(path.dirname(require.resolve(`${compiler}/package.json`)), 'bin/tsc');
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, '-p', folder], { encoding: 'utf8' });
    expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: '' });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
