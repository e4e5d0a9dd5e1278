// A program that depends on the installed package, for compilers that know nothing of `exports`.

import * as http from 'http';
import { WorkerServer, type WebSocketEndpointOptions, type WorkerServerOptions } from '@hardlydifficult/worker-server';

const options: WorkerServerOptions = { port: 0, authToken: process.env.TOKEN };
const compressed: WebSocketEndpointOptions = { perMessageDeflate: { threshold: 1024 } };
const server = new WorkerServer(options);
server.addHttpHandler((req: http.IncomingMessage, res: http.ServerResponse) => {
  res.end(req.url);
  return true;
});
server.addWebSocketEndpoint('/ws', (ws, req) => ws.send(req.url ?? ''), compressed);
