#!/usr/bin/env node
'use strict';

// The command `worker-server`. Each command is loaded when it is asked for: only `serve` and `demo` load native code.

const { readArguments } = require('./arguments.js');
const { UsageError } = require('./errors.js');
const { printable } = require('./printable.js');

const COMMANDS = {
  serve: () => require('./commands/serve.js'),
  bridge: () => require('./commands/bridge.js'),
  status: () => require('./commands/status.js'),
  drain: () => require('./commands/drain.js'),
  demo: () => require('./commands/demo.js'),
};

const HELP = `Usage: worker-server COMMAND [flag]…

  serve    a server for workers, with an OpenAI-compatible gateway, a status page and metrics
  bridge   makes an OpenAI-compatible endpoint (Ollama, llama.cpp, vLLM, LM Studio) a worker
  status   shows the workers and the queue of a server
  drain    has a worker finish what it has and take nothing new
  demo     a server with four example workers, on this machine alone

  worker-server COMMAND --help   says more of a command
  worker-server --version        prints the version

Each flag is also a variable: --api-key is WORKER_SERVER_API_KEY. The flag wins.
Exit codes: 0 done, or drained by SIGTERM or SIGINT; 1 failed; 2 wrong use.`;

const EXIT = { FAILED: 1, WRONG_USE: 2 };

/** @returns {Promise<number>} the exit code; a command that goes on keeps the process alive by itself */
async function main(argv, env) {
  const [name, ...rest] = argv;
  if (name === undefined) throw new UsageError('a command is missing (see worker-server --help)');
  if (name.startsWith('-')) {
    const { help } = readArguments({ flags: {} }, [name], env);
    return print(help ? HELP : require('../../package.json').version);
  }
  if (!Object.hasOwn(COMMANDS, name))
    throw new UsageError(`unknown command '${printable(name)}' (see worker-server --help)`);
  const command = COMMANDS[name]();
  const { help, version, values, fromFlag } = readArguments(command, rest, env);
  if (help) return print(command.help);
  if (version) return print(require('../../package.json').version);
  return (await command.run(values, { fromFlag })) ?? 0;
}

function print(text) {
  console.log(text);
  return 0;
}

/** One line, whatever the error's message is. */
function complain(name, error) {
  const label = Object.hasOwn(COMMANDS, name ?? '') ? `worker-server ${name}` : 'worker-server';
  const message = error instanceof Error ? error.message : String(error);
  console.error(`${label}: ${printable(message.replace(/\s*\n\s*/g, ' '))}`);
}

// Who reads the output may leave before it is written.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const argv = process.argv.slice(2);
main(argv, process.env).then(
  (code) => {
    process.exitCode ??= code;
  },
  (error) => {
    process.exitCode = error instanceof UsageError ? EXIT.WRONG_USE : EXIT.FAILED;
    complain(argv[0], error);
  },
);
