'use strict';

// The server's side of one run, in a process of its own so that its accounts are its own. The runner forks it, and both talk
// over the channel that a fork has.
//
//   server.cjs SCENARIO-FILE ROW IMPLEMENTATION PARAMETERS-AS-JSON
//
// IMPLEMENTATION is `native` (this package), `standin` (the same on npm's ws) or `http` (Node's own server, for rows about
// HTTP). `dispatcher` and `few` are this package, too: a row does something else there (see its `serve`). `subscribed` is this package
// with a subscriber on each of its channels, and `uncounted` and `unpublished` are copies of it that benchmark/watching.mjs has made. It says
// {event: 'listening', port}; at {command: 'begin'} it starts to count and says {event: 'begun'}; at {command: 'end'}
// it says {event: 'ended', usage, ...counts} once its own part of the work is done.

const diagnostics = require('node:diagnostics_channel');
const http = require('node:http');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { Meter } = require('./support/meter.cjs');

const HERE = '../index.js';
const IMPLEMENTATIONS = {
  native: HERE,
  dispatcher: HERE,
  few: HERE,
  subscribed: HERE,
  standin: '../__test__/parity/standin.js',
  uncounted: '../target/watching/uncounted/index.js',
  unpublished: '../target/watching/unpublished/index.js',
};
/** Those of them that are this package, and do in each row what it does. */
const VARIANTS = ['subscribed', 'uncounted', 'unpublished'];
const CHANNELS = ['worker.connected', 'worker.disconnected', 'worker.updated', 'error'];

/** Subscribes to all that servers publish. */
function subscribeToAll() {
  const listen = () => {};
  for (const name of CHANNELS) diagnostics.subscribe(`worker-server:${name}`, listen);
  const events = { start: listen, end: listen, asyncStart: listen, asyncEnd: listen, error: listen };
  diagnostics.tracingChannel('worker-server:request').subscribe(events);
}

/** Counts up to a number, and notes when it got there. */
class Counter {
  constructor(expected) {
    this.expected = expected;
    this.count = 0;
    this.done = new Promise((resolve) => {
      this.reached = resolve;
    });
  }

  add() {
    this.count += 1;
    if (this.count === 1) this.first = performance.now();
    if (this.count === this.expected) {
      this.last = performance.now();
      this.reached();
    }
  }

  toJSON() {
    return { count: this.count, seconds: (this.last - this.first) / 1000 };
  }
}

/** Node's own server, with the two members of a WorkerServer that HTTP rows need. */
class PlainHttp {
  addHttpHandler(handler) {
    this.server = http.createServer(handler);
  }

  start() {
    return new Promise((resolve, reject) => {
      this.server.on('error', reject).listen(0, resolve);
    });
  }

  get port() {
    return this.server.address().port;
  }
}

async function main() {
  const [file, name, implementation, parameters] = process.argv.slice(2);
  const { default: rows } = await import(pathToFileURL(path.resolve(file)));
  const row = rows.find((candidate) => candidate.name === name);
  const params = JSON.parse(parameters);
  const warnings = {};
  const quiet = () => {};
  const count = (message) => {
    warnings[message] = (warnings[message] ?? 0) + 1;
  };
  const options = { port: 0, ...row.options, logger: { debug: quiet, info: quiet, warn: count, error: count } };
  const server =
    implementation === 'http' ? new PlainHttp() : new (require(IMPLEMENTATIONS[implementation]).WorkerServer)(options);
  if (implementation === 'subscribed') subscribeToAll();
  const meter = new Meter();
  const counter = (expected) => new Counter(expected);
  const role = VARIANTS.includes(implementation) ? 'native' : implementation;
  const part = row.serve({ server, params, meter, counter, implementation: role }) ?? {};
  await server.start();

  const commands = {
    async begin() {
      await part.prepare?.();
      meter.start({ loopDelay: row.loopDelay });
      process.send({ event: 'begun' }, () => part.begin?.());
    },
    async end() {
      await part.done;
      const usage = await meter.stop();
      process.send({ event: 'ended', usage, warnings, ...(await part.result?.()) });
    },
    quit() {
      process.exit(0);
    },
    async tell({ what, argument }) {
      process.send({ event: 'told', result: await part[what](argument) });
    },
  };
  process.on('message', ({ command, ...rest }) => {
    Promise.resolve(commands[command](rest)).catch(fail);
  });
  process.on('disconnect', () => process.exit(1));
  process.send({ event: 'listening', port: server.port });
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
