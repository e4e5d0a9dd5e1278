// A real WorkerServer from this repository. Each line of stdin is a command, each line of stdout an event, both JSON.
//
//   node node_server.mjs '{"authToken":"…", …}'
//
// An option `gateway` has the options of a gateway for OpenAI's clients.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const { WorkerServer } = require('../../index.js');
const { openaiGateway } = require('../../lib/gateway/index.js');

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const { gateway, ...options } = JSON.parse(process.argv[2] ?? '{}');
const server = new WorkerServer({ port: 0, ...options });
if (gateway !== undefined) server.addHttpHandler(openaiGateway(server, gateway));

server.onWorkerConnected((worker) => say({ event: 'connected', worker }));
server.onWorkerDisconnected((worker) => say({ event: 'disconnected', id: worker.id }));
server.onWorkerUpdated?.((worker, change) => say({ event: 'updated', change, worker }));
server.onWorkerMessage('to the application', (worker, message) => say({ event: 'message', id: worker.id, message }));

// request() and stream(), by the names that the tests call them.
const aborts = new Map();
const told = (name) => ({
  onStarted: (worker, attempt) => say({ event: 'request started', name, attempt }),
  onProgress: (data) => say({ event: 'progress', name, data }),
});
const failed = (name) => ({ code, message, data, started }) => say({ event: 'failed', name, code, message, data, started });

function request({ name, payload, options = {} }) {
  const abort = new AbortController();
  aborts.set(name, abort);
  server
    .request(payload, { signal: abort.signal, ...told(name), ...options })
    .then((data) => say({ event: 'result', name, data }), failed(name));
}

async function stream({ name, payload, options = {} }) {
  const running = server.stream(payload, { ...told(name), ...options });
  try {
    for await (const chunk of running) say({ event: 'chunk', name, chunk });
    say({ event: 'result', name, data: await running.result });
  } catch (error) {
    failed(name)(error);
  }
}

const commands = {
  request,
  // Not waited for, as other commands come while it runs.
  stream: (command) => void stream(command),
  abort: ({ name }) => aborts.get(name).abort(new Error('mine')),
  disconnect: ({ id }) => server.disconnectWorker(id),
  drain: () => void server.drain().then((end) => say({ event: 'drained', ...end })),
  send: ({ id, message }) => say({ event: 'sent', ok: server.send(id, message) }),
  workers: () => say({ event: 'workers', workers: server.getWorkerInfo() }),
  stop: async () => {
    await server.stop();
    say({ event: 'stopped' });
  },
  start: async () => {
    await server.start();
    say({ event: 'started', port: server.port, requests: typeof server.request === 'function' });
  },
};

await commands.start();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
await server.stop();
