'use strict';

// Tests of programs that a machine may lack: skipped there, and their titles say so.

const { spawnSync } = require('node:child_process');

/** Whether a program is installed, by a call of it that only says its version. */
const isInstalled = (program, args = ['--version']) => spawnSync(program, args).status === 0;

/** `test`, or where something is missing what skips it: `(title, run, timeout)`. */
const testIf = (isThere, missing) =>
  isThere ? test : (title, run, timeout) => test.skip(`${title} (${missing})`, run, timeout);

const testWith = (program, args) => testIf(isInstalled(program, args), `${program} is not installed`);

module.exports = { isInstalled, testIf, testWith };
