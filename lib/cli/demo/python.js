'use strict';

// Whether there is a Python that can run the worker of the folder `python/`. There need not be one.

const { execFile } = require('node:child_process');
const path = require('node:path');

const PROBE_MS = 15_000;

/**
 * @param {string} root the repository
 * @returns {Promise<{ command: string, env: Record<string, string> } | undefined>} how to run a program that imports
 *   `hardlydifficult_worker`; undefined: there is no Python 3.10 with the package `websockets`
 */
async function findPython(root) {
  const folder = path.join(root, 'python');
  const ofChecks = path.join(folder, '.venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const env = { PYTHONPATH: path.join(folder, 'src') };
  for (const command of [process.env.PYTHON, ofChecks, 'python3'].filter(Boolean)) {
    if (await canImport(command, env)) return { command, env };
  }
  return undefined;
}

function canImport(command, env) {
  const options = { env: { ...process.env, ...env }, timeout: PROBE_MS };
  return new Promise((resolve) => {
    execFile(command, ['-c', 'import hardlydifficult_worker'], options, (error) => resolve(error === null));
  });
}

module.exports = { findPython };
