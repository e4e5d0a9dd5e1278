'use strict';

// The native side distinguishes JSON from what is none before V8 sees it, so the two must agree: on the seeds of the fuzz target that
// asks the same of another parser, and on those seeds with something changed.

const { readFileSync, readdirSync } = require('fs');
const path = require('path');
const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { EmitterSocket } = require('../support/standalone.js');

const SEEDS = path.join(__dirname, '..', '..', 'fuzz', 'seeds', 'classifier');
const REPLACEMENTS = [
  '\u0000',
  '\n',
  '"',
  '\\',
  '{',
  '}',
  ',',
  ':',
  '0',
  '-',
  'e',
  '.',
  '\u007f',
  '\u2028',
  '\ud800',
  '',
];

let logger;
let handler;

beforeEach(() => {
  logger = recordingLogger();
  const config = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };
  handler = new ConnectionHandler(new WorkerPool(logger), config, logger);
});

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether the native side takes a text for JSON. */
function passesForJson(text) {
  const ws = new EmitterSocket();
  handler.handleConnection(ws);
  logger.lines.length = 0;
  ws.receive(text);
  return !logger.lines.some(({ message }) => message === 'Invalid JSON message from worker');
}

const seeds = readdirSync(SEEDS).map((name) => [name, readFileSync(path.join(SEEDS, name), 'utf8')]);

test.each(seeds)('%s is JSON to V8 and to the native side, or to neither', (_, text) => {
  expect(passesForJson(text)).toBe(isJson(text));
});

test.each(seeds.filter(([, text]) => text.length < 300))('%s with a character changed, wherever', (_, text) => {
  for (let at = 0; at < text.length; at += 1) {
    for (const replacement of REPLACEMENTS) {
      // What comes over a socket is well-formed.
      const changed = (text.slice(0, at) + replacement + text.slice(at + 1)).toWellFormed();
      if (passesForJson(changed) !== isJson(changed)) throw new Error(`they differ on ${JSON.stringify(changed)}`);
    }
  }
});
