// What the programs on the recipes of docs/SECURITY.md share.

import { once } from 'node:events';
import { WebSocket } from 'ws';

const report = {};

// The recipes log to the console. What they say of those who are not let in is part of the report.
let refusal;
console.debug = () => {};
console.warn = (message, context) => {
  if (message.endsWith('not authenticated')) refusal = context.reason;
  else if (message.endsWith('id in use')) refusal = 'id in use';
};

/** Why the last worker that was refused was refused. */
export const refusedFor = () => refusal;

/** Loads the recipe, whose server has started then. Nothing of it is written but what it refuses. */
export async function load() {
  const { server } = await import(process.argv[2]);
  return server;
}

/** Connects and registers. Resolves with the socket, and whether it was let in. */
export async function register(server, id, { token, tls } = {}) {
  const url = tls === undefined ? `ws://127.0.0.1:${server.port}` : `wss://localhost:${server.port}`;
  const ws = new WebSocket(url, tls);
  ws.on('error', () => {});
  const opened = await Promise.race([
    once(ws, 'open').then(
      () => true,
      () => false,
    ),
    once(ws, 'close').then(() => false),
  ]);
  if (!opened) return { ws, isOpen: false, success: false };
  const capabilities = { models: [], maxConcurrentRequests: 1 };
  ws.send(JSON.stringify({ type: 'worker_registration', workerId: id, authToken: token, capabilities }));
  const [text] = await once(ws, 'message');
  const { success, error } = JSON.parse(text);
  return { ws, isOpen: true, success, error };
}

export function note(name, value) {
  report[name] = value;
}

/** Sends this process the signal, and waits until its listeners have run. */
export async function hangUp() {
  const heard = once(process, 'SIGHUP');
  process.kill(process.pid, 'SIGHUP');
  await heard;
}

export async function finish(server) {
  await server.stop();
  process.stdout.write(JSON.stringify(report));
  process.exit(0);
}
