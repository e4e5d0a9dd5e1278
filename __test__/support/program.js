'use strict';

// Programs that a test runs in a process of their own.

const path = require('path');
const { spawn } = require('child_process');
const { onCleanup } = require('./cleanup');

const STDIO = { stdio: ['ignore', 'pipe', 'pipe'] };

/**
 * Starts a program, named by its path from the folder of all tests; a last argument `{ env, execArgv }` adds to its
 * environment and to Node's arguments. `exit` resolves with `{ code, signal, stdout, stderr }`, `stdout(pattern)` with
 * the match.
 */
function startProgram(name, ...args) {
  const { env, execArgv = [] } = typeof args.at(-1) === 'object' ? args.pop() : {};
  const options = { ...STDIO, env: { ...process.env, ...env } };
  return watch(spawn(process.execPath, [...execArgv, path.join(__dirname, '..', name), ...args], options), name);
}

/** The same for any command, with `spawn`'s options. */
const startProcess = (command, args, options) => watch(spawn(command, args, { ...options, ...STDIO }), command);

function watch(child, name) {
  onCleanup(() => child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  const watchers = new Set();
  for (const stream of ['stdout', 'stderr']) {
    child[stream].on('data', (data) => {
      output[stream] += data;
      for (const look of watchers) look();
    });
  }
  const exit = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, ...output }));
  });
  const stdout = (pattern) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const match = output.stdout.match(pattern);
        if (match) resolve(match);
      };
      watchers.add(look);
      look();
      exit.then(() => reject(new Error(`${name} ended: ${JSON.stringify(output)}`)));
    });
  /** The port that the program prints. */
  const port = async () => Number((await stdout(/port (\d+)/))[1]);
  return { child, exit, stdout, port };
}

/** The same with an upper bound on the descriptors that the program may have open. */
function startProgramWithFiles(openFiles, name, ...args) {
  return watch(
    spawn(
      'sh',
      ['-c', `ulimit -n ${openFiles}; exec "$0" "$@"`, process.execPath, path.join(__dirname, '..', name), ...args],
      STDIO,
    ),
    name,
  );
}

module.exports = { startProcess, startProgram, startProgramWithFiles };
