'use strict';

// Workers in another process, and blocking this one's event loop meanwhile.

const fs = require('fs');
const path = require('path');
const { fork } = require('child_process');
const { once } = require('events');
const { onCleanup } = require('./cleanup');
const { folderForTests } = require('./folder');

/** A process that obeys: `ask(command, options)` resolves with its answer. */
function startProcess(script) {
  const child = fork(path.join(__dirname, script), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
  const asked = new Map();
  let number = 0;
  child.on('message', (answer) => {
    const { resolve, reject } = asked.get(answer.number);
    asked.delete(answer.number);
    if (answer.error === undefined) resolve(answer.result);
    else reject(new Error(answer.error));
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of asked.values()) reject(new Error(`${script} ended (${code ?? signal})`));
  });
  onCleanup(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  return {
    child,
    ask(command, options) {
      const answer = new Promise((resolve, reject) => {
        number += 1;
        asked.set(number, { resolve, reject });
        child.send({ number, command, options });
      });
      // Who asks without waiting for the answer isn't interested in its end either.
      answer.catch(() => {});
      return answer;
    },
  };
}

/** `count` registered workers in another process, each with a heartbeat every `heartbeatMs`. */
async function startFleet(port, { count, heartbeatMs, prefix = 'fleet', messages } = {}) {
  const fleet = startProcess('fleet-process.js');
  await fleet.ask('open', { port, count, heartbeatMs, prefix, messages });
  return fleet;
}

/** `count` registered connections in another process, ready to flood. */
async function startFlood(port, { count = 1, prefix = 'flood' } = {}) {
  const flood = startProcess('flood-process.js');
  await flood.ask('open', { port, count, prefix });
  return flood;
}

const signals = folderForTests('signals');
let signalCount = 0;

/** The name of a file that does not exist yet, by which another process can notify this one while it is blocked. */
function signalFile() {
  signalCount += 1;
  return path.join(signals, `signal-${signalCount}`);
}

const sleeping = new Int32Array(new SharedArrayBuffer(4));

/** Stops this thread, event loop and all. */
function block(ms) {
  Atomics.wait(sleeping, 0, 0, ms);
}

/**
 * Blocks this thread for at least `ms` and until `file` exists, which it must within `atMost`. Returns the file's text.
 * `${file}.go` shows the other process that this one is blocked.
 */
function blockUntilFile(file, { ms = 0, atMost = 15000 } = {}) {
  const start = Date.now();
  fs.writeFileSync(`${file}.go`, '');
  while (Date.now() - start < ms || !fs.existsSync(file)) {
    if (Date.now() - start > atMost) throw new Error(`no sign from the other process in ${atMost} ms of blocking`);
    block(10);
  }
  return fs.readFileSync(file, 'utf8');
}

module.exports = { startProcess, startFleet, startFlood, signalFile, block, blockUntilFile };
