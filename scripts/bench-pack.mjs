// Makes a folder, and a tarball of it, with all that a bare Linux machine needs to run the benchmarks: Node, the addon, the load generator, the
// peer with its dependencies, and a script that starts them.
//
//   npm run bench:pack -- [--out DIR]        (DIR is `bench-pack` without it)
//   DIR/run.sh [the options of `npm run bench`]
//
// Node is compressed, and unpacked by the first run: it is what makes the pack large.

import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({ options: { out: { type: 'string', default: 'bench-pack' } } });
const out = path.resolve(root, options.out);

const FOLDERS = ['lib', 'benchmark/scenarios', 'benchmark/support', '__test__/parity', 'node_modules/ws'];
const FILES = ['index.js', 'package.json', 'benchmark/run.mjs', 'benchmark/server.cjs', 'benchmark/scale.mjs'];

const RUN = `#!/bin/sh
# Runs the benchmarks: see benchmark/run.mjs for the options.
set -e
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -x "$here/node" ]; then
  if command -v xz >/dev/null; then
    xz -dc "$here/node.xz" >"$here/node.part"
  else
    python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' \\
      "$here/node.xz" "$here/node.part"
  fi
  chmod +x "$here/node.part"
  mv "$here/node.part" "$here/node"
fi
cd "$here"
exec ./node benchmark/run.mjs "$@"
`;

function run(command, args, stdio = 'inherit') {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

run('cargo', ['build', '--release', '--quiet', '--package', 'load']);
rmSync(out, { recursive: true, force: true });
for (const folder of FOLDERS) cpSync(path.join(root, folder), path.join(out, folder), { recursive: true });
const addons = readdirSync(root).filter((name) => name.endsWith('.node'));
for (const file of [...FILES, ...addons]) {
  mkdirSync(path.dirname(path.join(out, file)), { recursive: true });
  copyFileSync(path.join(root, file), path.join(out, file));
}
mkdirSync(path.join(out, 'target', 'release'), { recursive: true });
copyFileSync(path.join(root, 'target', 'release', 'load'), path.join(out, 'target', 'release', 'load'));

const node = path.join(out, 'node');
copyFileSync(process.execPath, node);
// Only what a debugger reads; the exported names, which the addon needs, stay.
run('strip', ['--strip-unneeded', node]);
run('xz', ['-6', '--threads=0', '--force', node]);
writeFileSync(path.join(out, 'run.sh'), RUN);
chmodSync(path.join(out, 'run.sh'), 0o755);

const tarball = `${out}.tar`;
run('tar', ['-cf', tarball, '-C', path.dirname(out), path.basename(out)]);
console.log(`${out} and ${tarball}, ${(statSync(tarball).size / 1e6).toFixed(1)} MB`);
