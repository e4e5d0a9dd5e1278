'use strict';

// A bridge between a server of this process and a stand-in upstream.

const { nextCall, startServer } = require('../../support/server.js');
const { startCommand } = require('./command.js');
const { startUpstream } = require('./upstream.js');

/**
 * @param options `args`: further flags; `upstream`: its behaviour, or one that is there; `env`
 * @returns all of them, and the worker as it was when it registered
 */
async function startBridge({ args = [], upstream: given = {}, env, serverOptions } = {}) {
  const upstream = given.url === undefined ? await startUpstream(given) : given;
  const { server, port, log } = await startServer({ authToken: 'token-sesame', ...serverOptions });
  const registered = nextCall((subscribe) => server.onWorkerConnected(subscribe));
  const flags = ['--server', `ws://127.0.0.1:${port}`, '--upstream', upstream.url, ...args];
  const bridge = startCommand('bridge', ...flags, { env: { WORKER_SERVER_TOKEN: 'token-sesame', ...env } });
  const [worker] = await Promise.race([registered, bridge.exit.then((end) => Promise.reject(new Error(end.stderr)))]);
  return { upstream, server, port, log, bridge, worker };
}

/** The next change of the worker of a server, for which `holds`. */
function updated(server, holds) {
  return new Promise((resolve) => {
    const off = server.onWorkerUpdated((worker) => {
      if (!holds(worker)) return;
      off();
      resolve(worker);
    });
  });
}

/** What `request()` of a chat is rejected with. */
const failureOf = (request) =>
  request.then(
    () => Promise.reject(new Error('it was answered')),
    (error) => error,
  );

const chat = (body = {}) => ({ path: '/chat/completions', body: { model: 'm', messages: [], ...body } });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

module.exports = { chat, collect, failureOf, startBridge, updated };
