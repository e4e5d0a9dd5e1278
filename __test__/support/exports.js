'use strict';

// The package's exports as programs find them: by Node's and by TypeScript's resolution.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '../..');

/** The names that the package exports. */
const NAMES = [
  'ConnectionHandler',
  'WorkerPool',
  'WorkerRequestError',
  'WorkerServer',
  'WorkerStatus',
  'safeCompare',
  'toWorkerInfo',
];

/** Runs Node in the package's own folder, and returns the JSON that it printed. */
const node = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );

/** The files that are loaded once a program has run, relative to the package's folder, with `/`. */
const filesLoadedBy = (program) =>
  node('-e', `${program}; console.log(JSON.stringify(Object.keys(require.cache)));`).map((file) =>
    path.relative(root, file).split(path.sep).join('/'),
  );

/**
 * Compiles a program in a folder into which the package is installed; returns the compiler's exit status and output.
 */
function compile(program, compiler, options) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-types-'));
  try {
    const modules = path.join(folder, 'node_modules');
    fs.mkdirSync(path.join(modules, '@hardlydifficult'), { recursive: true });
    fs.symlinkSync(root, path.join(modules, '@hardlydifficult/worker-server'), 'junction');
    fs.symlinkSync(path.join(root, 'node_modules/@types'), path.join(modules, '@types'), 'junction');
    fs.copyFileSync(program, path.join(folder, 'typed.ts'));
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
    const bin = path.join(path.dirname(require.resolve(`${compiler}/package.json`)), 'bin/tsc');
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, '-p', folder], { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** The compilers that every export's types are held to, for `test.each`: package, what is special, options. */
const COMPILERS = [
  ['typescript', 'node16', { module: 'node16' }],
  ['typescript-7', 'with every strict flag', { module: 'nodenext', exactOptionalPropertyTypes: true }],
  ['typescript', 'node10', { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' }],
];

module.exports = { COMPILERS, NAMES, compile, filesLoadedBy, node, root };
