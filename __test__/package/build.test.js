'use strict';

// When `npm run build --if-stale` builds, tried out in a made-up checkout without cargo: there a build that is due ends
// with the message that cargo is missing.

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { hostPlatform } = require('../../lib/native/platforms.js');

const root = path.resolve(__dirname, '../..');
const binary = `worker-server.${hostPlatform().suffix}.node`;
const BUILT = new Date('2026-01-01T12:00:00Z');
const BEFORE = new Date('2026-01-01T11:00:00Z');
const AFTER = new Date('2026-01-01T13:00:00Z');

let checkout;

function write(name, time) {
  const file = path.join(checkout, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, '');
  touch(name, time);
}

function touch(name, time) {
  fs.utimesSync(path.join(checkout, name), time, time);
}

function build(...args) {
  const script = path.join(checkout, 'scripts/build.mjs');
  return spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8',
    env: { ...process.env, PATH: checkout, Path: checkout },
  });
}

beforeEach(() => {
  checkout = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-build-'));
  fs.cpSync(path.join(root, 'scripts/build.mjs'), path.join(checkout, 'scripts/build.mjs'));
  fs.cpSync(path.join(root, 'lib/native/platforms.js'), path.join(checkout, 'lib/native/platforms.js'));
  for (const source of ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src/lib.rs', 'crates/core/src/pool.rs'])
    write(source, BEFORE);
  for (const folder of ['crates/core/src', 'crates/core', 'crates', 'src']) touch(folder, BEFORE);
  write(binary, BUILT);
});
afterEach(() => fs.rmSync(checkout, { recursive: true, force: true }));

const UP_TO_DATE = { status: 0, stdout: '', stderr: '' };
const DUE = { status: 1, stderr: expect.stringContaining('cargo was not found') };

test('a binary that is newer than every source is not built again', () => {
  expect(build('--if-stale')).toMatchObject(UP_TO_DATE);
});

test('a missing binary is built', () => {
  fs.rmSync(path.join(checkout, binary));
  expect(build('--if-stale')).toMatchObject(DUE);
});

test.each(['Cargo.toml', 'Cargo.lock', 'build.rs', 'src/lib.rs', 'crates/core/src/pool.rs'])(
  'a change of %s makes the binary stale',
  (source) => {
    touch(source, AFTER);
    expect(build('--if-stale')).toMatchObject(DUE);
  },
);

test('a deleted source makes the binary stale', () => {
  fs.rmSync(path.join(checkout, 'crates/core/src/pool.rs'));
  expect(build('--if-stale')).toMatchObject(DUE);
});

test('a change of JavaScript does not make the binary stale', () => {
  write('lib/anything.js', AFTER);
  expect(build('--if-stale')).toMatchObject(UP_TO_DATE);
});

test('without --if-stale it is built in any case', () => {
  expect(build()).toMatchObject(DUE);
});

test('the message says where to get cargo', () => {
  expect(build().stderr).toMatch(/rustup\.rs/);
});

test('an unknown target is refused with the list of those that are known', () => {
  expect(build('--target', 'wasm32')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('x86_64-unknown-linux-musl'),
  });
});
