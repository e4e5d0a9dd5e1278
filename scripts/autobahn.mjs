// Runs the Autobahn|Testsuite against the server's own connection code, with an echo consumer (conformance/echo.rs).
//
//   npm run autobahn                    all cases but compression (there is none); writes the summary into docs/CONFORMANCE.md
//   npm run autobahn -- --quick         a selection that takes seconds; writes nothing
//   npm run autobahn -- --if-possible   where the suite can't be installed, says why and passes
//
// It fails on any case that FAILED, or was closed with the WRONG CODE or uncleanly. `WSTEST=/path/to/wstest` names an
// installed suite; otherwise conformance/setup installs one into the user's cache folder.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const page = path.join(root, 'docs', 'CONFORMANCE.md');
const AGENT = 'worker-server';
const SECTIONS = {
  1: 'Framing',
  2: 'Pings and pongs',
  3: 'Reserved bits',
  4: 'Opcodes',
  5: 'Fragmentation',
  6: 'UTF-8 handling',
  7: 'Close handling',
  9: 'Limits and performance',
  10: 'Automatic fragmentation',
};
const QUICK = ['1.1.*', '2.*', '3.*', '4.*', '5.*', '6.4.*', '7.*', '10.*'];
const BEGIN = '<!-- autobahn -->';
const END = '<!-- /autobahn -->';

function fail(message) {
  console.error(`autobahn: ${message}`);
  process.exit(1);
}

/** The path of `wstest`; null where there is none, with the reason printed. */
function findSuite() {
  if (process.env.WSTEST) return process.env.WSTEST;
  const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
  const setup = spawnSync(path.join(root, 'conformance', 'setup'), [path.join(cache, 'autobahn-testsuite')], {
    encoding: 'utf8',
  });
  if (setup.status === 0) return setup.stdout.trim();
  console.error(
    `autobahn: the suite can't be installed: ${(setup.stderr || String(setup.error)).trim().split('\n').at(-1)}`,
  );
  return null;
}

/** Builds the echo server and starts it. Debug builds are there after the tests; the long cases need an optimised one. */
async function startEcho(isQuick) {
  const profile = isQuick ? [] : ['--release'];
  const build = spawnSync('cargo', ['build', '--example', 'echo', ...profile], { cwd: root, stdio: 'inherit' });
  if (build.status !== 0) fail('the echo server does not build');
  const target = process.env.CARGO_TARGET_DIR || path.join(root, 'target');
  const binary = path.join(target, isQuick ? 'debug' : 'release', 'examples', 'echo');
  const echo = spawn(binary, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: echo.stdout })) return { echo, port: Number(line) };
  return fail('the echo server does not start');
}

/** Runs the cases; returns what the suite says of each, by its number. */
function runSuite(wstest, port, cases) {
  const folder = mkdtempSync(path.join(tmpdir(), 'autobahn-'));
  const spec = {
    outdir: path.join(folder, 'reports'),
    servers: [{ agent: AGENT, url: `ws://127.0.0.1:${port}` }],
    cases,
    'exclude-cases': [],
    'exclude-agent-cases': {},
  };
  const file = path.join(folder, 'spec.json');
  writeFileSync(file, JSON.stringify(spec));
  const run = spawnSync(wstest, ['--mode', 'fuzzingclient', '--spec', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) fail(`wstest fails: ${run.stderr}`);
  const results = JSON.parse(readFileSync(path.join(spec.outdir, 'index.json'), 'utf8'))[AGENT];
  rmSync(folder, { recursive: true });
  return results;
}

function count(results, behavior) {
  return results.filter((result) => result.behavior === behavior).length;
}

function table(results) {
  const rows = Object.entries(SECTIONS).map(([section, title]) => {
    const own = Object.entries(results)
      .filter(([id]) => id.split('.')[0] === section)
      .map(([, result]) => result);
    return { title: `${section} ${title}`, own };
  });
  rows.push({ title: 'all', own: Object.values(results) });
  const lines = rows.map(({ title, own }) => {
    const numbers = ['OK', 'NON-STRICT', 'INFORMATIONAL', 'FAILED'].map((behavior) => count(own, behavior));
    return `| ${[title, own.length, ...numbers].join(' | ')} |`;
  });
  return [
    '| section | cases | OK | non-strict | informational | failed |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, 'if-possible': { type: 'boolean' } } });
const wstest = findSuite();
if (wstest === null) {
  if (!values['if-possible']) process.exit(1);
  console.log('autobahn: skipped');
  process.exit();
}
const { echo, port } = await startEcho(values.quick);
const results = runSuite(wstest, port, values.quick ? QUICK : Object.keys(SECTIONS).map((section) => `${section}.*`));
echo.kill();

const entries = Object.entries(results);
if (entries.length === 0) fail('no case ran');
const bad = entries.filter(([, { behavior, behaviorClose }]) => {
  return ![behavior, behaviorClose].every((word) => ['OK', 'NON-STRICT', 'INFORMATIONAL'].includes(word));
});
for (const [id, { behavior, behaviorClose }] of entries) {
  if (behavior !== 'OK' || behaviorClose !== 'OK') console.log(`case ${id}: ${behavior}, close ${behaviorClose}`);
}
console.log(`autobahn: ${entries.length} cases, ${count(Object.values(results), 'OK')} OK, ${bad.length} failed`);
if (bad.length > 0) process.exit(1);
if (!values.quick) {
  const text = readFileSync(page, 'utf8');
  const [before, after] = [text.indexOf(BEGIN), text.indexOf(END)];
  writeFileSync(page, `${text.slice(0, before + BEGIN.length)}\n${table(results)}\n${text.slice(after)}`);
}
