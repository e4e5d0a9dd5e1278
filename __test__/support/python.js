'use strict';

// Interpreters of Python for the tests that want one, and what skips these tests where there is none.

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { testIf } = require('./installed.js');

const folder = path.join(__dirname, '../../python');
/** In the order of preference. `scripts/python-check.sh` creates the second one. */
const INTERPRETERS = [process.env.PYTHON, path.join(folder, '.venv/bin/python'), 'python3'].filter(Boolean);

/** With this environment a program can import `hardlydifficult_worker`. */
const WORKER_ENV = { PYTHONPATH: path.join(folder, 'src') };

/** The first interpreter that is 3.10 or newer and runs these imports (`'ssl, websockets'`), or undefined. */
function findPython(imports, env = {}) {
  const program = `import sys; assert sys.version_info >= (3, 10); import ${imports}`;
  const runs = (command) => spawnSync(command, ['-c', program], { env: { ...process.env, ...env } }).status === 0;
  return INTERPRETERS.find(runs);
}

/** `{ python, testWithPython }`: an interpreter with these modules, and `test`, or what skips it. */
function pythonWith(imports, env) {
  const python = findPython(imports, env);
  return { python, testWithPython: testIf(python !== undefined, `no Python 3.10 with ${imports}`) };
}

/** The same for programs that use the package's worker and these modules too. They are to run with `WORKER_ENV`. */
const pythonWithWorker = (imports) =>
  pythonWith(['hardlydifficult_worker', imports].filter(Boolean).join(', '), WORKER_ENV);

module.exports = { WORKER_ENV, pythonWith, pythonWithWorker };
