// The quickstart: a server with four workers in processes of their own, two in JavaScript and two in Python, and a
// batch of documents that they summarise token by token. One worker is killed while it has requests, to show that
// nothing is lost.
//
//   npm start                      summarises this repository's own documents
//   npm start -- FILE...           summarises these files
//   npm start -- --help
//
// lib/cli/demo/ has the programs of it: demo.js the server, show.js the requests, worker.js a worker;
// summary_worker.py, here, is the same worker in Python.

import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import demo from '../lib/cli/demo/demo.js';
import { ownDocuments, readDocuments } from '../lib/cli/demo/documents.js';
import { findPython } from '../lib/cli/demo/python.js';
import printing from '../lib/cli/printable.js';

const HELP = `Summarises text files with a server and four worker processes, and kills one of them on the way.

  npm start [-- [--serve] [--verbose] [FILE...]]

  FILE        text files in UTF-8; without any, this repository's own documents
  --serve     keep running afterwards, until Ctrl-C: the status page at /, an OpenAI API at /v1, metrics at /metrics.
              A worker that is killed is started again
  --verbose   print the server's log lines
  --help      print this

Two of the workers run in Python if there is a python3 with the package websockets, else all four in JavaScript.
It listens on 127.0.0.1 alone, at port 19100 or the next free one. Workers have to send a token that is made at random.
The exit code is 0 if every file has its result, 1 if not, 2 for a wrong option.`;

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function readOptions() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        serve: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    return process.exit(2);
  }
}

/** The files to work on, each with the name to show. */
function chooseFiles(names) {
  if (names.length === 0) return ownDocuments(root);
  // npm runs scripts in the package's folder; names are meant from where the user is.
  const here = process.env.npm_lifecycle_event === 'start' ? process.env.INIT_CWD : process.cwd();
  return names.map((name) => ({ file: path.resolve(here, name), name }));
}

async function main() {
  const { values: options, positionals } = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { documents, leftOut } = await readDocuments(await chooseFiles(positionals));
  for (const { name, reason } of leftOut) console.error(`${printing.printable(name)}: left out, because ${reason}`);
  if (documents.length === 0 && !options.serve) {
    console.error('There is no file to work on.');
    return 1;
  }
  const python = await findPython(root);
  const isComplete = await demo.runDemo({
    documents,
    leftOut: leftOut.length,
    // The workers get it in their environment, not on a command line, which every user of the machine sees.
    token: randomBytes(16).toString('hex'),
    python: python && { ...python, script: path.join(root, 'examples/summary_worker.py') },
    stays: options.serve,
    isVerbose: options.verbose,
    again: 'npm start -- --serve',
  });
  return isComplete ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`quickstart: ${error.message}`);
  process.exitCode = 1;
}
