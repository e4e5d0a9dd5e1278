'use strict';

// The export as a program finds it.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '../..');
const NAME = '@hardlydifficult/worker-server/worker';

const node = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );

test('require, named import, import * and dynamic import give the same exports', () => {
  const names = ['Worker', 'WorkerRejectedError'];
  expect(node('-p', `JSON.stringify(Object.keys(require('${NAME}')).sort())`)).toEqual(names);
  const program = `
    import { Worker, WorkerRejectedError } from '${NAME}';
    import * as all from '${NAME}';
    const later = await import('${NAME}');
    const same = [all, later].every((m) => m.Worker === Worker && m.WorkerRejectedError === WorkerRejectedError);
    console.log(JSON.stringify([same, typeof Worker, typeof WorkerRejectedError]));`;
  expect(node('--input-type=module', '-e', program)).toEqual([true, 'function', 'function']);
});

test('it loads nothing of the package but its own folder, and no addon', () => {
  const program = `
    require('${NAME}');
    require('./lib/worker/connection/connection.js');
    console.log(JSON.stringify(Object.keys(require.cache)));`;
  const loaded = node('-e', program).map((file) => path.relative(root, file).split(path.sep).join('/'));
  const others = loaded.filter((file) => !file.startsWith('lib/worker/') && !file.includes('node_modules/ws/'));
  expect(others).toEqual([]);
});

test('a bundle without the connection’s own file says what to do, and works without a thread', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-bundle-'));
  try {
    const entry = path.join(folder, 'entry.cjs');
    fs.writeFileSync(
      entry,
      `
      const { Worker } = require(${JSON.stringify(path.join(root, 'lib/worker/index.js'))});
      const options = { url: 'ws://127.0.0.1:1', capabilities: { models: [], maxConcurrentRequests: 1 }, handler: () => 1, reconnect: { maxAttempts: 1 } };
      const run = (more) => new Worker({ ...options, ...more }).run().catch((error) => error.message);
      Promise.all([run({}), run({ isolate: false })]).then((said) => console.log(JSON.stringify(said)));`,
    );
    const bundle = path.join(folder, 'bundle.cjs');
    const esbuild = path.join(root, 'node_modules/.bin/esbuild');
    execFileSync(esbuild, [entry, '--bundle', '--platform=node', '--log-level=warning', `--outfile=${bundle}`], {
      cwd: root,
      stdio: 'pipe',
      shell: process.platform === 'win32',
    });
    expect(node(bundle)).toEqual([expect.stringMatching(/external/), expect.stringMatching(/ECONNREFUSED/)]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

describe('types', () => {
  const compilers = { 6: 'typescript', 7: 'typescript-7' };
  const settings = [
    [6, 'node16', { module: 'node16' }],
    [
      7,
      'nodenext with every strict flag',
      { module: 'nodenext', exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, isolatedModules: true },
    ],
    [7, 'bundler', { module: 'esnext', moduleResolution: 'bundler' }],
    [6, 'node10', { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' }],
  ];

  test.each(settings)('compile with TypeScript %i, %s', (version, _name, options) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-types-'));
    try {
      const modules = path.join(folder, 'node_modules');
      fs.mkdirSync(path.join(modules, '@hardlydifficult'), { recursive: true });
      fs.symlinkSync(root, path.join(modules, '@hardlydifficult/worker-server'), 'junction');
      fs.symlinkSync(path.join(root, 'node_modules/@types'), path.join(modules, '@types'), 'junction');
      fs.copyFileSync(path.join(__dirname, 'programs/typed.ts'), path.join(folder, 'typed.ts'));
      const compilerOptions = {
        strict: true,
        noEmit: true,
        target: 'es2022',
        lib: ['es2022'],
        types: ['node'],
        skipLibCheck: false,
        ...options,
      };
      fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typed.ts'] }));
      const bin = path.join(path.dirname(require.resolve(`${compilers[version]}/package.json`)), 'bin/tsc');
      const { status, stdout, stderr } = spawnSync(process.execPath, [bin, '-p', folder], { encoding: 'utf8' });
      expect({ status, output: stdout + stderr }).toEqual({ status: 0, output: '' });
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
