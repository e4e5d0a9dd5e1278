'use strict';

// The command as a process.

const fs = require('fs');
const os = require('os');
const path = require('path');
const { onCleanup } = require('../../support/cleanup.js');
const { startProgram } = require('../../support/program.js');

const MAIN = path.relative(path.join(__dirname, '../..'), path.join(__dirname, '../../../lib/cli/main.js'));

/** Starts `worker-server` with these arguments; a last argument `{ env }` adds to its environment. */
const startCommand = (...args) => startProgram(MAIN, ...args);

/** Runs it to its end. */
const runCommand = (...args) => startCommand(...args).exit;

/** Starts `serve` on a free port of this machine: the lines that it prints, and its address. */
async function startServe(...args) {
  const command = startCommand('serve', '--host', '127.0.0.1', '--port', '0', ...args);
  const [, workers] = await command.stdout(/^Workers (ws:\S+)$/m);
  const [text] = await command.stdout(/[^]*^npx .*$[^]*/m);
  const port = Number(new URL(workers).port);
  return { ...command, port, workers, http: `http://127.0.0.1:${port}`, lines: text.trimEnd().split('\n') };
}

/** A file with this text, removed after the test. */
function fileWith(text) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-cli-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'file');
  fs.writeFileSync(file, text);
  return file;
}

module.exports = { fileWith, runCommand, startCommand, startServe };
