'use strict';

// How a benchmark's server gets less than a machine (`--confine`): what is written where, for both versions of cgroups, in a folder that looks like the system's.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { onCleanup } = require('../support/cleanup');

const CONFINEMENT = pathToFileURL(path.join(__dirname, '..', '..', 'benchmark', 'support', 'confinement.mjs'));

function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-cgroups-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

/** What `confine` returns, in a process of its own, since it tidies up when its process ends. */
function confine(how, root) {
  const program = `
    const { confine } = await import(${JSON.stringify(CONFINEMENT)});
    const { writeFileSync, readdirSync } = await import('node:fs');
    const confined = confine(${JSON.stringify(how)}, ${JSON.stringify(root)});
    const folder = confined?.command[3];
    if (folder !== undefined) writeFileSync(folder + '/cpu.stat', 'nr_periods 20\\nnr_throttled 7\\nthrottled_usec 9\\n');
    console.log(JSON.stringify({ command: confined?.command, throttled: confined?.throttled?.() }));
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  return { stderr, status, ...(status === 0 ? JSON.parse(stdout) : {}) };
}

const read = (...names) => fs.readFileSync(path.join(...names), 'utf8');

(process.platform === 'win32' ? describe.skip : describe)('a quota', () => {
  test('of version 2 is the controller for folders below, and quota and period in cpu.max', () => {
    const root = temporaryFolder();
    fs.writeFileSync(path.join(root, 'cgroup.controllers'), 'cpu memory\n');
    const { command, throttled } = confine('0.5', root);
    const folder = command[3];
    expect(path.dirname(folder)).toBe(root);
    expect(read(root, 'cgroup.subtree_control')).toBe('+cpu');
    expect(read(folder, 'cpu.max')).toBe('50000 100000');
    expect(throttled).toBe(7);
  });

  test('of version 1 is in two files of the folder cpu', () => {
    const root = temporaryFolder();
    fs.mkdirSync(path.join(root, 'cpu'));
    const { command, throttled } = confine('1', root);
    const folder = command[3];
    expect(path.dirname(folder)).toBe(path.join(root, 'cpu'));
    expect(read(folder, 'cpu.cfs_period_us')).toBe('100000');
    expect(read(folder, 'cpu.cfs_quota_us')).toBe('100000');
    expect(throttled).toBe(7);
  });

  test('holds for the command that is started so, from its beginning', () => {
    const root = temporaryFolder();
    fs.writeFileSync(path.join(root, 'cgroup.controllers'), '');
    const { command } = confine('2', root);
    const [shell, ...before] = command;
    const { stdout } = spawnSync(shell, [...before, process.execPath, '-p', 'process.pid'], { encoding: 'utf8' });
    expect(read(command[3], 'cgroup.procs')).toBe(stdout);
  });

  test('that the system refuses is no error, and the reason is printed', () => {
    const { command, status, stderr } = confine('0.5', path.join(temporaryFolder(), 'missing'));
    expect([command, status]).toEqual([undefined, 0]);
    expect(stderr).toMatch(/^skipped: this machine lets nobody set a CPU quota \(ENOENT/);
  });
});

test('one processor is the first one', () => {
  expect(confine('processor').command).toEqual(['taskset', '-c', '0']);
});

test.each(['none', '0', '-1'])('%s is neither a processor nor a number of them', (how) => {
  expect(confine(how).stderr).toContain(`--confine takes "processor" or a number of processors, not ${how}`);
});
