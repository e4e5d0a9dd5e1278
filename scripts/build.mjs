// Builds the addon into the root of the checkout, as worker-server.<platform>.node.
//
//   node scripts/build.mjs [--if-stale] [--debug] [anything else is passed on to `napi build`, e.g. --target x]
//
// --if-stale builds only if the file is missing or a source is newer than it. `npm install` in a checkout and `npm test`
// call it so; an installed package has no scripts and never builds.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { platforms, hostPlatform } = require('../lib/native/platforms.js');

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'rust-toolchain.toml', '.cargo', 'crates', 'src'];

function fail(message) {
  console.error(`build: ${message}`);
  process.exit(1);
}

/** The time of the last change to a file, or to any file in a folder; 0 if it isn't there. */
function newest(entry) {
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  // The folder's own time counts too: it is all that a deleted or renamed file leaves.
  return readdirSync(entry).reduce((time, name) => Math.max(time, newest(path.join(entry, name))), stat.mtimeMs);
}

function isStale(binary) {
  if (!existsSync(binary)) return true;
  const built = statSync(binary).mtimeMs;
  return SOURCES.some((source) => newest(path.join(root, source)) > built);
}

function suffixFor(args) {
  const at = args.findIndex((arg) => arg === '--target' || arg === '-t');
  if (at < 0) {
    const host = hostPlatform();
    return (
      host.suffix ?? fail(`no target is set up for ${host.name}: add it to lib/native/platforms.js and to package.json`)
    );
  }
  const found = platforms.find((p) => p.target === args[at + 1]);
  return found
    ? found.suffix
    : fail(`unknown target ${args[at + 1]}; known are ${platforms.map((p) => p.target).join(', ')}`);
}

function requireTools() {
  const cargo = spawnSync('cargo', ['--version'], { stdio: 'ignore' });
  if (cargo.error || cargo.status !== 0) {
    fail(
      'cargo was not found. Building from source needs Rust: install it from https://rustup.rs and run `npm run build`.',
    );
  }
  try {
    return require.resolve('@napi-rs/cli/package.json');
  } catch {
    return fail('@napi-rs/cli was not found. Run `npm install` without --omit=dev in this checkout first.');
  }
}

const args = process.argv.slice(2);
const ifStale = args.includes('--if-stale');
const debug = args.includes('--debug');
const rest = args.filter((arg) => arg !== '--if-stale' && arg !== '--debug');

const binary = path.join(root, `worker-server.${suffixFor(rest)}.node`);
if (ifStale && !isStale(binary)) process.exit(0);

const cliPackage = requireTools();
const cli = path.join(path.dirname(cliPackage), require(cliPackage).bin.napi);
const started = new Date();
// The types and the JavaScript are written by hand; what the tool would generate goes where nobody reads it.
const build = [
  'build',
  '--platform',
  '--no-js',
  '--dts',
  'target/native.d.ts',
  ...(debug ? [] : ['--release']),
  ...rest,
];
const result = spawnSync(process.execPath, [cli, ...build], { cwd: root, stdio: 'inherit' });
if (result.error) fail(result.error.message);
if (result.status !== 0) fail(`napi build ended with ${result.signal ?? `exit code ${result.status}`}`);
if (!existsSync(binary)) fail(`napi build succeeded but left no ${path.basename(binary)}`);
// A source that was edited while the build ran must count as newer than the binary.
utimesSync(binary, started, started);
