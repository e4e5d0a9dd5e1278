'use strict';

const { once } = require('node:events');
const { secret } = require('../arguments.js');
const { Failure } = require('../errors.js');
const { statusTable } = require('../status-table.js');
const { StatusClient } = require('../status-client.js');
const { pause } = require('../../time/timers.js');

const WATCH_MS = 1_000;
const CLEAR = '\x1b[H\x1b[2J\x1b[3J';

const flags = { key: { read: secret }, watch: {}, json: {} };
const positionals = ['URL'];

const help = `Usage: worker-server status URL [flag]…

Shows the workers and the queue of a server.

  --key KEY   the server's admin key (or WORKER_SERVER_KEY)
  --watch     again each second, until SIGINT or SIGTERM
  --json      as JSON; with --watch a line each second`;

async function run({ url, key, watch = false, json = false }) {
  const client = new StatusClient(url, key);
  const show = (status) => (json ? jsonOf(status, watch) : statusTable(status));
  const first = show(await client.status());
  if (watch) await watchStatus(client, first, show, json);
  else console.log(first);
}

async function watchStatus(client, first, show, json) {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
  // Who reads has left.
  process.stdout.once('error', stop);
  const isScreen = process.stdout.isTTY && !json;
  for (let text = first; !stopping.signal.aborted; text = await next(client, show, json)) {
    if (text !== undefined && !process.stdout.write(`${isScreen ? CLEAR : ''}${text}\n`))
      await once(process.stdout, 'drain', { signal: stopping.signal }).catch(() => {});
    await pause(WATCH_MS, stopping.signal);
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, stop);
}

/** A server that is away for a while is waited for. */
async function next(client, show, json) {
  try {
    return show(await client.status());
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (!json) return error.message;
    console.error(error.message);
    return undefined;
  }
}

/** JSON leaves these as they are, and a terminal takes them for commands. */
const jsonOf = (status, isLine) =>
  JSON.stringify(status, null, isLine ? 0 : 2).replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

module.exports = { flags, help, positionals, run };
