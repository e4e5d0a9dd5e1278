'use strict';

// The demo, as the command `demo` and `npm start` run it: `serve` on this machine alone, four example workers, and a
// batch of documents that they summarise while one of them is killed.

const { announcement } = require('../serve/announcement.js');
const { printable } = require('../printable.js');
const { createDisplay } = require('./display.js');
const { Fleet } = require('./fleet.js');
const { report } = require('./report.js');
const { Show } = require('./show.js');

const HOST = '127.0.0.1';
const FIRST_PORT = 19100;
const LAST_PORT = FIRST_PORT + 99;

/** It was ended by a signal before it was over. */
class Interrupted extends Error {
  constructor() {
    super('interrupted');
  }
}

/**
 * @param {object} options
 * @param {number} [options.port] undefined: 19100, or the next one that is free
 * @param {{ name: string, text: string, words: number }[]} options.documents
 * @param {number} options.leftOut how many more there are that couldn't be read
 * @param {string} [options.token] what workers have to send; undefined: nothing
 * @param {object} [options.python] how to run a worker in Python: see `Fleet`
 * @param {boolean} options.stays whether it goes on until a signal, and killed workers come back
 * @param {boolean} options.isVerbose prints the server's log, and no live bars
 * @param {string} options.again the command with which it would stay
 * @returns {Promise<boolean>} whether each document has its summary
 * @throws {Interrupted | import('../errors.js').Failure}
 */
async function runDemo({ port, documents, leftOut, token, python, stays, isVerbose, again }) {
  const interruption = new AbortController();
  const interrupted = new Promise((resolve) => interruption.signal.addEventListener('abort', resolve));
  const onSignal = () => interruption.abort(new Interrupted());
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, onSignal);
  let display = { connected() {}, note: (line) => console.log(line) };
  const server = await startOnFreePort(port, { token, logger: loggerTo((line) => display.note(line), isVerbose) });
  const at = `${HOST}:${server.port}`;
  const fleet = new Fleet({
    server,
    url: `ws://${at}`,
    token,
    python,
    restarts: stays,
    onRestart: (name, how) => display.note(`${name} has ended (${how}) and is started again`),
    onEmpty: () => interruption.abort(new Error('no worker is left')),
  });
  server.onWorkerConnected(({ id }) => display.connected(id));
  const orInterrupted = (promise) =>
    Promise.race([promise, interrupted.then(() => Promise.reject(interruption.signal.reason))]);
  try {
    console.log(announcement(at, { token: token && { values: [token], isRandom: true } }));
    await orInterrupted(fleet.start());
    const members = fleet.members.map(({ name, language }) => `${name} (${language})`);
    console.log(`${members.length} workers: ${members.join(', ')}`);

    const show = new Show({
      server,
      documents,
      kill: (name) => fleet.kill(name),
      display: {
        changed: (job) => display.changed(job),
        killed: (name, jobs) => display.killed(name, jobs),
      },
      signal: interruption.signal,
    });
    if (documents.length > 0) {
      display = createDisplay({ members: fleet.members, jobs: () => show.jobs }, process.stdout, !isVerbose);
      await orInterrupted(show.run()).finally(() => display.end());
      // Bars that have come to their end stay as they are.
      display = { connected() {}, note: (line) => console.log(line) };
      console.log(`\n${report(show.jobs, leftOut, show.victim, process.stdout.columns ?? 100)}`);
    }
    if (stays) await orInterrupted(fleet.allConnected());
    console.log(`\n${stays ? invitation(at) : `${again} keeps it running. Then:\n\n${invitation(at)}`}`);
    if (stays) {
      console.log('\nCtrl-C ends it.');
      await interrupted;
      await server.drain();
    }
    return leftOut === 0 && show.jobs.every(({ error }) => error === undefined);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, onSignal);
    await fleet.stop();
    await server.stop();
  }
}

/** What to do with a server that runs. */
function invitation(at) {
  const messages = '[{"role":"user","content":"Workers come and go. Requests stay. Nothing is lost when workers go."}]';
  const body = `{"model":"summary-1","stream":true,"messages":${messages}}`;
  return `  open http://${at}/
  curl -N http://${at}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`;
}

async function startOnFreePort(wanted, { token, logger }) {
  // Last, so that wrong use is said even where the native part can't be loaded.
  const { startServer } = require('../serve/start-server.js');
  const options = {
    host: HOST,
    tokens: token === undefined ? undefined : [token],
    hasHome: true,
    // A worker that was killed does not come back to its requests, so the server need not wait for it.
    more: { logger, limits: { resumeGraceMs: 0 }, heartbeatIntervalMs: 2_000, heartbeatTimeoutMs: 6_000 },
  };
  for (let port = wanted ?? FIRST_PORT; ; port += 1) {
    try {
      return await startServer({ ...options, port });
    } catch (error) {
      if (wanted !== undefined || error.cause?.code !== 'EADDRINUSE' || port === LAST_PORT) throw error;
    }
  }
}

function loggerTo(note, isVerbose) {
  const line = (level) => (message, context) =>
    note(printable(`${level}: ${message}${context === undefined ? '' : ` ${JSON.stringify(context)}`}`));
  const nothing = () => {};
  return {
    debug: isVerbose ? line('debug') : nothing,
    info: isVerbose ? line('info') : nothing,
    warn: isVerbose ? line('warn') : nothing,
    error: line('error'),
  };
}

module.exports = { Interrupted, runDemo };
