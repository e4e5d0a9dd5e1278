// The same package from an ES module: named, as a namespace, and imported at run time. `ws` has declarations of its own for ES
// modules, which must fit as well.

import WebSocket, { WebSocketServer } from 'ws';
import {
  ConnectionHandler,
  WorkerPool,
  WorkerServer,
  WorkerStatus,
  type WorkerInfo,
} from '@hardlydifficult/worker-server';
import * as everything from '@hardlydifficult/worker-server';

const server: everything.WorkerServer = new WorkerServer({ port: 0 });
server.addWebSocketEndpoint('/ws', (ws: WebSocket) => ws.on('close', (code: number) => console.log(code)));
server.onWorkerConnected((worker: WorkerInfo) => console.log(worker.status === everything.WorkerStatus.Available));

const handler = new ConnectionHandler(new WorkerPool(), { heartbeatTimeoutMs: 1, heartbeatIntervalMs: 1 });
new WebSocketServer({ noServer: true }).on('connection', (ws: WebSocket) => handler.handleConnection(ws));

export async function later(): Promise<boolean> {
  const { WorkerServer: Imported } = await import('@hardlydifficult/worker-server');
  const imported: WorkerServer = new Imported({ port: 0 });
  await imported.start();
  await imported.stop();
  return Imported === WorkerServer && everything.safeCompare('a', 'a');
}
export const busy: WorkerStatus = WorkerStatus.Busy;
