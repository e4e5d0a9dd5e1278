'use strict';

const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { loadAddon } = require('../../lib/native/load-addon.js');
const { platforms, hostPlatform } = require('../../lib/native/platforms.js');

const root = path.resolve(__dirname, '../..');
const manifest = require('../../package.json');

/** A process as hostPlatform sees it. */
function host(platform, arch, glibcVersionRuntime) {
  const report = { excludeNetwork: false, getReport: () => ({ header: { glibcVersionRuntime } }) };
  return { platform, arch, report };
}

function missing(id) {
  return Object.assign(new Error(`Cannot find module '${id}'\nRequire stack:\n- here`), { code: 'MODULE_NOT_FOUND' });
}

/** Loads from a made-up disk: what isn't on it can't be found, what is an Error is thrown. */
function loader(disk) {
  const asked = [];
  const load = (id) => {
    asked.push(id);
    if (!(id in disk)) throw missing(id);
    if (disk[id] instanceof Error) throw disk[id];
    return disk[id];
  };
  return { load, asked };
}

const LOCAL = path.join('/pkg', 'worker-server.linux-x64-gnu.node');
const INSTALLED = '@hardlydifficult/worker-server-linux-x64-gnu';
const linux = { suffix: 'linux-x64-gnu', name: 'linux-x64-glibc' };

describe('the platform', () => {
  test.each([
    ['linux', 'x64', '2.31', 'linux-x64-gnu'],
    ['linux', 'arm64', '2.31', 'linux-arm64-gnu'],
    ['linux', 'x64', undefined, 'linux-x64-musl'],
    ['linux', 'arm64', undefined, 'linux-arm64-musl'],
    ['darwin', 'x64', undefined, 'darwin-x64'],
    ['darwin', 'arm64', undefined, 'darwin-arm64'],
    ['win32', 'x64', undefined, 'win32-x64-msvc'],
  ])('%s on %s with glibc %s uses the binary %s', (platform, arch, glibc, suffix) => {
    expect(hostPlatform(host(platform, arch, glibc)).suffix).toBe(suffix);
  });

  test.each([
    ['linux', 'ia32', '2.31', 'linux-ia32-glibc'],
    ['linux', 'riscv64', undefined, 'linux-riscv64-musl'],
    ['win32', 'arm64', undefined, 'win32-arm64'],
    ['freebsd', 'x64', undefined, 'freebsd-x64'],
  ])('%s on %s has no binary, and is named in full', (platform, arch, glibc, name) => {
    expect(hostPlatform(host(platform, arch, glibc))).toEqual({ suffix: undefined, name });
  });

  test('asking for the C library leaves the settings of reports as they were', () => {
    const process = host('linux', 'x64', '2.31');
    hostPlatform(process);
    expect(process.report.excludeNetwork).toBe(false);
  });

  test('the report is made without looking up the names of peers', () => {
    const process = host('linux', 'x64', '2.31');
    let excluded;
    process.report.getReport = () => {
      excluded = process.report.excludeNetwork;
      return { header: {} };
    };
    hostPlatform(process);
    expect(excluded).toBe(true);
  });

  test('the table has the targets of package.json', () => {
    expect(platforms.map((p) => p.target).sort()).toEqual([...manifest.napi.targets].sort());
  });
});

describe('the search', () => {
  test('takes the binary of a checkout first', () => {
    const addon = {};
    const { load, asked } = loader({ [LOCAL]: addon, [INSTALLED]: {} });
    expect(loadAddon(linux, load, '/pkg')).toBe(addon);
    expect(asked).toEqual([LOCAL]);
  });

  test('takes the platform package next', () => {
    const addon = {};
    const { load, asked } = loader({ [INSTALLED]: addon });
    expect(loadAddon(linux, load, '/pkg')).toBe(addon);
    expect(asked).toEqual([LOCAL, INSTALLED]);
  });

  test('takes the platform package when the binary of the checkout cannot be loaded', () => {
    const addon = {};
    const { load } = loader({ [LOCAL]: new Error('wrong ELF class'), [INSTALLED]: addon });
    expect(loadAddon(linux, load, '/pkg')).toBe(addon);
  });

  test('never tries the binary of another platform', () => {
    const { load, asked } = loader({});
    expect(() => loadAddon({ suffix: 'linux-x64-musl', name: 'linux-x64-musl' }, load, '/pkg')).toThrow();
    expect(asked.every((id) => id.includes('linux-x64-musl'))).toBe(true);
  });
});

describe('the error', () => {
  function errorFrom(...args) {
    try {
      loadAddon(...args);
    } catch (error) {
      return error;
    }
    throw new Error('loadAddon succeeded');
  }

  test('says what was looked for, and what to do', () => {
    const { message } = errorFrom(linux, loader({}).load, '/pkg');
    expect(message).toContain('found no binary for linux-x64-glibc');
    expect(message).toContain(`${LOCAL}: not there`);
    expect(message).toContain(`${INSTALLED}: not there`);
    expect(message).toMatch(/What to do:[^]*optional[^]*external[^]*npm run build/);
  });

  test('says why a binary that is there cannot be loaded', () => {
    const broken = Object.assign(new Error('libc.so.6: version GLIBC_2.38 not found'), { code: 'ERR_DLOPEN_FAILED' });
    const { message, cause } = errorFrom(linux, loader({ [INSTALLED]: broken }).load, '/pkg');
    expect(message).toContain(`${INSTALLED}: libc.so.6: version GLIBC_2.38 not found`);
    expect(cause.errors[1]).toBe(broken);
  });

  test('says that a module which the binary needs is missing, not the binary', () => {
    const { message } = errorFrom(linux, loader({ [INSTALLED]: missing('something-else') }).load, '/pkg');
    expect(message).toContain(`${INSTALLED}: Cannot find module 'something-else'`);
  });

  test('carries what each attempt threw as its cause', () => {
    const { cause } = errorFrom(linux, loader({}).load, '/pkg');
    expect(cause.errors.map((e) => e.code)).toEqual(['MODULE_NOT_FOUND', 'MODULE_NOT_FOUND']);
  });

  test('lists the platforms that have a binary where there is none', () => {
    const { message } = errorFrom({ suffix: undefined, name: 'freebsd-x64' }, loader({}).load, '/pkg');
    expect(message).toContain('no binary for freebsd-x64');
    for (const { suffix } of platforms) expect(message).toContain(suffix);
  });
});

describe('in a process of its own', () => {
  let folder;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-loader-'));
    fs.cpSync(path.join(root, 'lib'), path.join(folder, 'lib'), { recursive: true });
  });
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  test('the addon of the checkout is loaded', () => {
    const names = execFileSync(process.execPath, ['-p', 'Object.keys(require("./lib/native/addon.js")).length > 0'], {
      cwd: root,
    });
    expect(String(names).trim()).toBe('true');
  });

  test('a package without any binary ends with the message', () => {
    const { status, stderr } = spawnSync(process.execPath, ['-e', 'require("./lib/native/addon.js")'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr).toContain(`worker-server.${hostPlatform().suffix}.node: not there`);
  });

  test('a file that is no binary is reported with the reason of the system', () => {
    fs.writeFileSync(path.join(folder, `worker-server.${hostPlatform().suffix}.node`), 'no binary');
    const { stderr } = spawnSync(process.execPath, ['-e', 'require("./lib/native/addon.js")'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stderr).toMatch(/worker-server\..*\.node: (?!not there).+/);
  });
});
