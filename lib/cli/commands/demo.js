'use strict';

const path = require('node:path');
const { port } = require('../arguments.js');
const { Interrupted, runDemo } = require('../demo/demo.js');
const { ownDocuments, readDocuments } = require('../demo/documents.js');

const flags = { port: { read: port } };

const help = `Usage: worker-server demo [--port N]

A server on 127.0.0.1, open to this machine, with four example workers in processes of their own. They summarise the
package's own documents, token by token, and one of them is killed meanwhile. Then they answer chat requests until
Ctrl-C: the model summary-1 with a summary of the message, echo-1 with the message itself. A worker that is killed is
started again.

  --port N   default 19100, or the next free one (or WORKER_SERVER_PORT)`;

async function run({ port: wanted }) {
  const { documents } = await readDocuments(await ownDocuments(path.join(__dirname, '../../..')));
  try {
    await runDemo({ port: wanted, documents, leftOut: 0, stays: true, isVerbose: false });
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}

module.exports = { flags, help, run };
