'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { hostPlatform } = require('../../lib/native/platforms.js');
const { NAMES, root } = require('../support/exports.js');

const at = (name) => path.join(__dirname, 'modules', name);
const node = (file, options) => JSON.parse(execFileSync(process.execPath, [file], { encoding: 'utf8', ...options }));

test('require, named import, import * and dynamic import have the same exports', () => {
  expect(node(at('forms.mjs'))).toEqual({
    require: NAMES,
    'import {}': NAMES,
    'import *': NAMES,
    'import()': NAMES,
    'default import': NAMES,
  });
});

describe('a bundle with named imports', () => {
  let folder;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-bundle-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  function bundle(name, ...options) {
    const file = path.join(folder, 'dist', name);
    // A program of its own once its install script has run, before that a script for Node; npm's link starts either.
    const esbuild = path.join(root, 'node_modules/.bin/esbuild');
    const args = [
      at('bundled.mjs'),
      '--bundle',
      '--platform=node',
      '--log-level=warning',
      `--outfile=${file}`,
      ...options,
    ];
    // Warnings would go to stderr, and there must be none: an import that doesn't exist is one.
    const output = execFileSync(esbuild, args, {
      encoding: 'utf8',
      cwd: root,
      stdio: 'pipe',
      shell: process.platform === 'win32',
    });
    expect(output).toBe('');
    return file;
  }

  /** Puts the platform package where npm would have put it. */
  function installPlatformPackage() {
    const { suffix } = hostPlatform();
    const installed = path.join(folder, 'node_modules', `@hardlydifficult/worker-server-${suffix}`);
    fs.cpSync(path.join(root, 'npm', suffix), installed, { recursive: true });
    const binary = `worker-server.${suffix}.node`;
    fs.copyFileSync(path.join(root, binary), path.join(installed, binary));
  }

  const worked = { id: 'w', available: true, pool: 0, equal: true };

  test('works with the package left external', () => {
    const file = bundle('external.mjs', '--format=esm', '--packages=external');
    const modules = path.join(folder, 'node_modules');
    fs.mkdirSync(path.join(modules, '@hardlydifficult'), { recursive: true });
    fs.symlinkSync(root, path.join(modules, '@hardlydifficult/worker-server'), 'junction');
    fs.symlinkSync(path.join(root, 'node_modules/ws'), path.join(modules, 'ws'), 'junction');
    expect(node(file)).toEqual(worked);
  });

  test('works with the package inside, as CommonJS, beside its platform package', () => {
    const file = bundle('inside.cjs', '--format=cjs');
    installPlatformPackage();
    expect(node(file, { cwd: os.tmpdir() })).toEqual(worked);
  });

  test('works with the package inside, as an ES module, beside its platform package', () => {
    // Without require, what esbuild makes of any CommonJS package can't load Node's modules.
    const banner = "import { createRequire } from 'module'; const require = createRequire(import.meta.url);";
    const file = bundle('inside.mjs', '--format=esm', `--banner:js=${banner}`);
    installPlatformPackage();
    expect(node(file, { cwd: folder })).toEqual(worked);
  });

  test('says that the package should be external when the platform package is not there', () => {
    const file = bundle('alone.cjs', '--format=cjs');
    expect(() => execFileSync(process.execPath, [file], { cwd: folder, stdio: 'pipe' })).toThrow(
      /mark the package as external/,
    );
  });
});
