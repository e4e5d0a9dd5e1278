'use strict';

const { secret } = require('../arguments.js');
const { Failure } = require('../errors.js');
const { printable } = require('../printable.js');
const { StatusClient } = require('../status-client.js');

const flags = { key: { read: secret } };
const positionals = ['URL', 'WORKER'];

const help = `Usage: worker-server drain URL WORKER [--key KEY]

Has a worker finish what it has and take nothing new. WORKER is its id, or its name if no other worker has it.

  --key KEY   the server's admin key (or WORKER_SERVER_KEY)`;

async function run({ url, worker, key }) {
  const client = new StatusClient(url, key);
  if (!(await client.act('drain', worker))) {
    const id = await idOf(client, worker);
    if (!(await client.act('drain', id))) throw new Failure(`no worker '${worker}'`);
  }
  console.log(printable(`${worker} drains`));
}

async function idOf(client, name) {
  const { workers } = await client.status();
  const named = workers.filter((worker) => worker.name === name);
  if (named.length === 0) throw new Failure(`no worker '${name}'`);
  if (named.length > 1) throw new Failure(`'${name}' is the name of ${named.length} workers: give an id`);
  return named[0].id;
}

module.exports = { flags, help, positionals, run };
