// A real WorkerServer from this repository. Each line of stdin is a command, each line of stdout an event, both JSON.
//
//   node node_server.mjs '{"authToken":"…", …}'

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { WorkerServer } = createRequire(import.meta.url)('../../index.js');

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const server = new WorkerServer({ port: 0, ...JSON.parse(process.argv[2] ?? '{}') });

server.onWorkerConnected((worker) => say({ event: 'connected', worker }));
server.onWorkerDisconnected((worker) => say({ event: 'disconnected', id: worker.id }));
server.onWorkerMessage('to the application', (worker, message) => say({ event: 'message', id: worker.id, message }));

const commands = {
  send: ({ id, message }) => say({ event: 'sent', ok: server.send(id, message) }),
  workers: () => say({ event: 'workers', workers: server.getWorkerInfo() }),
  stop: async () => {
    await server.stop();
    say({ event: 'stopped' });
  },
  start: async () => {
    await server.start();
    say({ event: 'started', port: server.port });
  },
};

await commands.start();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
await server.stop();
