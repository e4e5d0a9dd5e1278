'use strict';

// The export as a program finds it.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { compile, filesLoadedBy, node, root } = require('../support/exports.js');

const NAME = '@hardlydifficult/worker-server/worker';

test('require, named import, import * and dynamic import have the same exports', () => {
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

test('it loads nothing of the package but its own folder and lib/time/, and no addon', () => {
  const loaded = filesLoadedBy(`require('${NAME}'); require('./lib/worker/connection/connection.js')`);
  const own = ['lib/worker/', 'lib/time/'];
  const others = loaded.filter(
    (file) => !own.some((folder) => file.startsWith(folder)) && !file.includes('node_modules/ws/'),
  );
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
    const program = path.join(__dirname, 'programs/typed.ts');
    expect(compile(program, compilers[version], options)).toEqual({ status: 0, output: '' });
  });
});
