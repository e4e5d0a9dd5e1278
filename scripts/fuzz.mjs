// Runs the fuzz targets under libFuzzer, one after the other.
//
//   npm run fuzz -- [target ...] [--minutes N]       all targets, ten minutes each by default
//
// It needs cargo-fuzz (`cargo install cargo-fuzz`). Where there is no nightly toolchain it takes the stable one, which comes
// with the sanitizer too, and allows it nightly's flags by RUSTC_BOOTSTRAP. What a run learns is kept in fuzz/corpus/, outside
// the repository. An input that fails is printed and kept in fuzz/artifacts/: move it to fuzz/seeds/<target>/ under a name
// that says what it shows, and `cargo test --test corpus` holds it from then on.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const fuzz = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), 'fuzz');
const targets = readdirSync(path.join(fuzz, 'targets')).map((file) => path.basename(file, '.rs'));
const DICTIONARIES = {
  request_head: 'request_head',
  classifier: 'json',
  session: 'json',
  frames: 'json',
  door: 'json',
};
const LONGEST_INPUT = 8192;

function fail(message) {
  console.error(`fuzz: ${message}`);
  process.exit(1);
}

const { values, positionals } = parseArgs({
  options: { minutes: { type: 'string', default: '10' } },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) fail(`--minutes takes a positive number, not ${values.minutes}`);
const unknown = positionals.find((name) => !targets.includes(name));
if (unknown) fail(`there is no target ${unknown}; there are ${targets.join(', ')}`);
const succeeds = (...args) => spawnSync('cargo', args).status === 0;
if (!succeeds('fuzz', '--version')) fail('cargo-fuzz is missing: cargo install cargo-fuzz');
const hasNightly = succeeds('+nightly', '--version');
const toolchain = hasNightly ? ['+nightly'] : [];
const env = hasNightly ? process.env : { ...process.env, RUSTC_BOOTSTRAP: '1' };

for (const target of positionals.length > 0 ? positionals : targets) {
  const corpus = path.join(fuzz, 'corpus', target);
  mkdirSync(corpus, { recursive: true });
  const dictionary = path.join(fuzz, 'dictionaries', `${DICTIONARIES[target]}.dict`);
  const args = [...toolchain, 'fuzz', 'run', target, corpus, path.join(fuzz, 'seeds', target), '--'];
  args.push(
    `-max_total_time=${Math.ceil(minutes * 60)}`,
    `-max_len=${LONGEST_INPUT}`,
    '-timeout=20',
    '-print_final_stats=1',
  );
  if (existsSync(dictionary)) args.push(`-dict=${dictionary}`);
  console.log(`\n== ${target}, ${minutes} minutes`);
  const { status } = spawnSync('cargo', args, { cwd: fuzz, stdio: 'inherit', env });
  if (status !== 0) fail(`${target} found something: see fuzz/artifacts/${target}/`);
}
