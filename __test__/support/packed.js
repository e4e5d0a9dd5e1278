'use strict';

// The package as users have it: packed with its platform package as for publishing, and the tarballs installed into an
// empty project, without a registry and on a PATH without Rust and Python.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { hostPlatform } = require('../../lib/native/platforms.js');

const root = path.resolve(__dirname, '../..');
const manifest = require('../../package.json');
const { suffix } = hostPlatform();
/** What an installation fetches from a registry. The checkout's own copies are packed instead. */
const FETCHED = ['ws', '@types/ws', '@types/node', 'undici-types'];

/** The script of npm or npx, so that each can be run without being on the PATH. */
function npmScript(name) {
  const beside = path.dirname(process.execPath);
  const folders = [
    process.env.npm_execpath && path.dirname(process.env.npm_execpath),
    path.join(beside, 'node_modules/npm/bin'),
    path.join(beside, '../lib/node_modules/npm/bin'),
  ];
  const candidates = folders.filter(Boolean).map((folder) => path.join(folder, `${name}-cli.js`));
  const found = candidates.find((file) => fs.existsSync(file));
  if (!found) throw new Error(`${name} was not found in ${candidates.join(', ')}`);
  return found;
}

/** Where a command is, as the shell would find it. */
const onPath = (command) =>
  process.env.PATH.split(path.delimiter)
    .map((folder) => path.join(folder, command))
    .find((file) => fs.existsSync(file));

/**
 * An environment whose PATH has Node, npm, npx and the shell that npx needs, and nothing else, without what an outer
 * `npm test` set for its own project.
 */
function bareEnvironment(folder) {
  const bin = path.join(folder, 'bin');
  fs.mkdirSync(bin);
  if (process.platform === 'win32') {
    fs.copyFileSync(process.execPath, path.join(bin, 'node.exe'));
  } else {
    const commands = { node: process.execPath, npm: npmScript('npm'), npx: npmScript('npx'), sh: onPath('sh') };
    for (const [name, file] of Object.entries(commands)) fs.symlinkSync(file, path.join(bin, name));
  }
  const ours = /^(path|node_options|init_cwd|worker_server_.*|npm_(package|lifecycle|command|config_local_prefix).*)$/i;
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name));
  return { ...Object.fromEntries(kept), PATH: bin };
}

function run(file, args, options) {
  const result = spawnSync(file, args, { encoding: 'utf8', ...options });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${file} ${args.join(' ')} ended with ${result.status}:\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Tarballs of the checkout's own dependencies, as a registry has them. */
function packDependencies(out) {
  const folders = FETCHED.map((name) => path.join(root, 'node_modules', name));
  const args = [npmScript('npm'), 'pack', '--json', '--ignore-scripts', '--pack-destination', out, ...folders];
  const packed = Object.values(JSON.parse(run(process.execPath, args, { cwd: root })));
  return packed.map(({ filename }) => path.join(out, path.basename(filename)));
}

/**
 * Packs and installs. For a `beforeAll`: it takes some 10 s. `remove()` is for its `afterAll`.
 *
 * @returns `folder`, which is temporary; `project`, a folder in it with the package installed; `environment`, that of the
 *   programs there; `packed`, what scripts/pack.mjs printed; `installed(...parts)`, a path in node_modules;
 *   `inProject(...args)`, which runs Node there and returns what it printed.
 */
function installPacked() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-pack-test-'));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  const project = path.join(folder, 'project');
  const tarballs = path.join(folder, 'tarballs');
  const environment = bareEnvironment(folder);
  const inProject = (...args) => run(process.execPath, args, { cwd: project, env: environment });
  fs.mkdirSync(project);
  const pack = [path.join(root, 'scripts/pack.mjs'), '--out', tarballs, '--available'];
  const packed = JSON.parse(run(process.execPath, pack, { cwd: root }));
  fs.writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
  const quiet = ['--offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const files = [packed.main, packed.platforms[suffix], ...packDependencies(tarballs)];
  inProject(npmScript('npm'), 'install', ...quiet, ...files);
  const installed = (...parts) => path.join(project, 'node_modules', ...parts);
  return { folder, project, environment, packed, installed, inProject, remove };
}

module.exports = { installPacked, manifest, root, suffix };
