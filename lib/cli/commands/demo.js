'use strict';

const { fork } = require('node:child_process');
const path = require('node:path');
const { port } = require('../arguments.js');
const { announcement } = require('../serve/announcement.js');
const { DEFAULT_PORT, LOOPBACK } = require('./serve.js');

const LAST_PORT = DEFAULT_PORT + 99;
const RESTART_MS = 1_000;
const WORKERS = [
  ['ada', 'summary-1'],
  ['ben', 'summary-1'],
  ['cleo', 'echo-1'],
  ['dan', 'echo-1'],
];

const flags = { port: { read: port } };

const help = `Usage: worker-server demo [--port N]

A server on ${LOOPBACK}, open to this machine, with four example workers in processes of their own. They answer chat requests
word by word: summary-1 with a summary of what it is given, echo-1 with the same. A worker that is killed is started again.

  --port N   default ${DEFAULT_PORT}, or the next free one (or WORKER_SERVER_PORT)`;

async function run({ port: wanted }) {
  const server = await startOnFreePort(wanted);
  const at = `${LOOPBACK}:${server.port}`;
  const registered = allRegistered(server);
  for (const worker of WORKERS) startWorker(server, worker);
  console.log(announcement(at));
  await registered;
  const body = `{"model":"summary-1","stream":true,"messages":[{"role":"user","content":"…"}]}`;
  console.log(`${WORKERS.length} workers: ${WORKERS.map(([name, model]) => `${name} (${model})`).join(', ')}. Try:

  curl -N http://${at}/v1/chat/completions -H 'content-type: application/json' -d '${body}'
  npx @hardlydifficult/worker-server status http://${at}

Ctrl-C ends it.`);
}

async function startOnFreePort(wanted) {
  const { startServer } = require('../serve/start-server.js');
  for (let candidate = wanted ?? DEFAULT_PORT; ; candidate += 1) {
    try {
      return await startServer({ port: candidate, host: LOOPBACK });
    } catch (error) {
      if (wanted !== undefined || error.cause?.code !== 'EADDRINUSE' || candidate === LAST_PORT) throw error;
    }
  }
}

function startWorker(server, [name, model]) {
  const script = path.join(__dirname, '../demo/worker.js');
  const child = fork(script, [`ws://${LOOPBACK}:${server.port}`, name, model], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  // They leave when this process does, and don't keep it.
  child.unref();
  child.channel.unref();
  child.on('exit', (code, signal) => {
    if (server.state !== 'running') return;
    console.log(`${name} has ended (${signal ?? code}) and is started again`);
    setTimeout(() => {
      if (server.state === 'running') startWorker(server, [name, model]);
    }, RESTART_MS).unref();
  });
}

/** Until each has been there; one that is restarted meanwhile counts once. */
function allRegistered(server) {
  const seen = new Set();
  return new Promise((resolve) => {
    const off = server.onWorkerConnected(({ id }) => {
      seen.add(id);
      if (seen.size < WORKERS.length) return;
      off();
      resolve();
    });
  });
}

module.exports = { flags, help, run };
