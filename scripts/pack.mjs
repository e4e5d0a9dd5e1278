// Makes the tarballs that are published: one for the package, one for each platform package under npm/.
//
//   node scripts/pack.mjs [--out DIR] [--available]
//
// The platform packages become optionalDependencies of the package here and not in the committed package.json: a checkout must
// be installable while its version isn't published. Each binary is taken from npm/<platform>/, else from the root of the
// checkout. Without --available a missing one is an error. With it, platforms without a binary get no tarball, but are
// still listed as dependencies: what is packed is what would be published.
//
// Prints {"main": file, "platforms": {suffix: file}} as JSON.

import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { platforms } = require('../lib/native/platforms.js');
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

// What only a checkout needs.
const DEVELOPMENT_FIELDS = ['scripts', 'devDependencies', 'overrides', 'jest', 'napi'];

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Runs npm pack in a folder and returns what it says of the tarball. */
function npmPack(folder, ...args) {
  const npm = spawnSync('npm', ['pack', '--json', '--ignore-scripts', ...args], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) throw new Error(`npm pack in ${folder} failed: ${npm.error?.message ?? npm.stderr}`);
  const answer = JSON.parse(npm.stdout);
  return Array.isArray(answer) ? answer[0] : Object.values(answer)[0];
}

function packTo(out, folder) {
  return path.join(out, path.basename(npmPack(folder, '--pack-destination', out).filename));
}

function packMain(out, stage) {
  const { files } = npmPack(root, '--dry-run');
  for (const { path: file } of files) {
    mkdirSync(path.join(stage, path.dirname(file)), { recursive: true });
    copyFileSync(path.join(root, file), path.join(stage, file));
  }
  const manifest = readJson(path.join(root, 'package.json'));
  for (const field of DEVELOPMENT_FIELDS) delete manifest[field];
  manifest.optionalDependencies = Object.fromEntries(
    platforms.map(({ suffix }) => [`${manifest.name}-${suffix}`, manifest.version]),
  );
  writeFileSync(path.join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return packTo(out, stage);
}

function findBinary({ suffix }) {
  const file = `worker-server.${suffix}.node`;
  return [path.join(root, 'npm', suffix, file), path.join(root, file)].find((candidate) => existsSync(candidate));
}

function packPlatform(out, stage, platform, version) {
  const { suffix } = platform;
  const folder = path.join(root, 'npm', suffix);
  const binary = findBinary(platform);
  if (!binary) return undefined;
  const manifest = readJson(path.join(folder, 'package.json'));
  if (manifest.version !== version) {
    throw new Error(
      `npm/${suffix}/package.json has version ${manifest.version}, the package ${version}: run \`npx napi version\``,
    );
  }
  cpSync(folder, stage, { recursive: true });
  copyFileSync(binary, path.join(stage, `worker-server.${suffix}.node`));
  if (existsSync(path.join(root, 'LICENSE'))) copyFileSync(path.join(root, 'LICENSE'), path.join(stage, 'LICENSE'));
  return packTo(out, stage);
}

function main(args) {
  const outAt = args.indexOf('--out');
  const out = path.resolve(outAt < 0 ? 'dist' : args[outAt + 1]);
  const missing = platforms.filter((platform) => findBinary(platform) === undefined).map(({ suffix }) => suffix);
  if (missing.length > 0 && !args.includes('--available')) {
    throw new Error(`there is no binary for ${missing.join(', ')}: no worker-server.<platform>.node in npm/<platform> or in the root.
A machine builds its own alone; add --available to pack only the platforms whose binary is there.`);
  }
  mkdirSync(out, { recursive: true });
  const { version } = readJson(path.join(root, 'package.json'));
  const temporary = mkdtempSync(path.join(tmpdir(), 'worker-server-pack-'));
  try {
    const packed = {};
    for (const platform of platforms) {
      const tarball = packPlatform(out, path.join(temporary, platform.suffix), platform, version);
      if (tarball) packed[platform.suffix] = tarball;
    }
    const stage = path.join(temporary, 'main');
    mkdirSync(stage);
    console.log(JSON.stringify({ main: packMain(out, stage), platforms: packed }, null, 2));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(`pack: ${error.message}`);
  process.exitCode = 1;
}
