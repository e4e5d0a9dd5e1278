// A program of a user of the package, in strict mode: it uses every export, every member and every option. It is compiled,
// under several module settings, and never run.

import * as http from 'http';
import type { IncomingMessage, ServerResponse } from 'http';
import { WebSocket } from 'ws';
import { WorkerServer, WorkerStatus } from '@hardlydifficult/worker-server';
import type {
  ConnectionHandlerConfig,
  HttpRequestHandler,
  ModelInfo,
  WebSocketConnectionHandler,
  WebSocketEndpointOptions,
  WorkerCapabilities,
  WorkerConnectedHandler,
  WorkerDisconnectedHandler,
  WorkerInfo,
  WorkerMessageHandler,
  WorkerServerLimits,
  WorkerServerLogger,
  WorkerServerOptions,
} from '@hardlydifficult/worker-server';
import * as everything from '@hardlydifficult/worker-server';

/** Holds for two types that are the same, readonly and optional included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

// Workers ---------------------------------------------------------------------------------------

const model: ModelInfo = {
  modelId: 'm',
  displayName: 'M',
  maxContextTokens: 8192,
  maxOutputTokens: 1024,
  supportsStreaming: true,
};
const seeing: ModelInfo = { ...model, supportsVision: true, supportsTools: false };
const capabilities: WorkerCapabilities = { models: [model, seeing], maxConcurrentRequests: 2 };
const limited: WorkerCapabilities = {
  ...capabilities,
  concurrencyLimits: { chat: 1 },
  metadata: { gpu: 'x', nested: { memory: 80 } },
};
capabilities.models.push(model);

const statuses: WorkerStatus[] = [
  WorkerStatus.Available,
  WorkerStatus.Busy,
  WorkerStatus.Draining,
  WorkerStatus.Unhealthy,
];
const statusText: 'available' | 'busy' | 'draining' | 'unhealthy' = `${WorkerStatus.Available}`;

function onStatus(status: WorkerStatus): number {
  switch (status) {
    case WorkerStatus.Available:
      return 0;
    case WorkerStatus.Busy:
      return 1;
    case WorkerStatus.Draining:
      return 2;
    case WorkerStatus.Unhealthy:
      return 3;
  }
}

function describe(info: WorkerInfo): string {
  const loads: number[] = [...info.categoryActiveRequests.values()];
  const pending: string[] = [...info.pendingRequestIds];
  const times: number = info.connectedAt.getTime() + info.lastHeartbeat.getTime();
  const counts: number = info.activeRequests + info.completedRequests + onStatus(info.status);
  return [info.id, info.name, info.sessionId, info.capabilities.models.length, loads, pending, times, counts].join();
}
holds<
  Same<
    WorkerInfo,
    {
      readonly id: string;
      readonly name: string;
      readonly status: WorkerStatus;
      readonly capabilities: WorkerCapabilities;
      readonly sessionId: string;
      readonly connectedAt: Date;
      readonly lastHeartbeat: Date;
      readonly activeRequests: number;
      readonly completedRequests: number;
      readonly pendingRequestIds: ReadonlySet<string>;
      readonly categoryActiveRequests: ReadonlyMap<string, number>;
      readonly auth?: unknown;
    }
  >
>();

// The server ------------------------------------------------------------------------------------

const logger: WorkerServerLogger = {
  debug(message: string, context?: Record<string, unknown>) {
    console.debug(message, context);
  },
  info: (message) => console.info(message),
  warn: console.warn,
  error: (message, context) => console.error(message, context?.['error']),
};
const consoleIsALogger: WorkerServerLogger = console;

const limits: WorkerServerLimits = {
  maxMessageBytes: 1024,
  headTimeoutMs: 1,
  maxHeadBytes: 1024,
  registrationTimeoutMs: 1,
  maxConnections: 1,
  maxUnregistered: 1,
  maxQueuedBytes: 1,
  stallTimeoutMs: 1,
  maxUnhandledBytes: 1,
  maxUnhandledBytesTotal: 1,
  stopGraceMs: 1,
};
holds<Same<WorkerServerLimits, { [K in keyof WorkerServerLimits]?: number | undefined }>>();

const tokens = ['new', 'old'] as const;
const rotating: WorkerServerOptions = { port: 0, authToken: tokens };
const severalTokens: string[] = [...tokens];
holds<Same<WorkerServerOptions['authToken'], string | readonly string[] | undefined>>();
holds<Same<ConnectionHandlerConfig['authToken'], string | readonly string[] | undefined>>();
const smallest: WorkerServerOptions = { port: 0 };
const options: WorkerServerOptions = {
  port: 8080,
  host: '127.0.0.1',
  authToken: 'secret',
  acceptUnregistered: true,
  reusePort: true,
  heartbeatTimeoutMs: 60_000,
  healthCheckIntervalMs: 10_000,
  heartbeatIntervalMs: 15_000,
  pingIntervalMs: 30_000,
  logger: consoleIsALogger,
  limits,
};

// What is left out may be undefined, as what comes from the environment is.
const leftOut: WorkerServerOptions = {
  port: 0,
  host: process.env['HOST'],
  authToken: process.env['TOKEN'],
  acceptUnregistered: undefined,
  reusePort: undefined,
  heartbeatTimeoutMs: undefined,
  healthCheckIntervalMs: undefined,
  heartbeatIntervalMs: undefined,
  pingIntervalMs: undefined,
  logger: undefined,
  limits: undefined,
};
const noLimits: WorkerServerLimits = {
  maxMessageBytes: undefined,
  headTimeoutMs: undefined,
  maxHeadBytes: undefined,
  registrationTimeoutMs: undefined,
  maxConnections: undefined,
  maxUnregistered: undefined,
  maxQueuedBytes: undefined,
  stallTimeoutMs: undefined,
  maxUnhandledBytes: undefined,
  maxUnhandledBytesTotal: undefined,
  stopGraceMs: undefined,
};
const vague: ModelInfo = { ...model, supportsVision: undefined, supportsTools: undefined };
const vaguer: WorkerCapabilities = { ...capabilities, concurrencyLimits: undefined, metadata: undefined };

const connected: WorkerConnectedHandler = (worker) => describe(worker);
const disconnected: WorkerDisconnectedHandler = (worker, pendingRequestIds) => {
  pendingRequestIds.delete(worker.id);
};
const asked: HttpRequestHandler = async (req, res) => {
  if (req.url !== '/health') return false;
  res.writeHead(200).end('ok');
  return true;
};
const askedAtOnce: HttpRequestHandler = (req) => req.url === '/nothing';
const greeted: WorkerConnectedHandler = async (worker) => {
  await Promise.resolve(worker.id);
};
const mourned: WorkerDisconnectedHandler = async (worker, pendingRequestIds) => {
  await Promise.resolve([worker.id, pendingRequestIds.size]);
};
const awaited: WorkerMessageHandler<{ requestId: string }> = async (worker, message) => {
  await Promise.resolve([worker.id, message.requestId]);
};
const admitted: WebSocketConnectionHandler = async (ws, req) => {
  await Promise.resolve(req.headers.cookie);
  ws.close();
};
// A handler may be called by anybody who has it, and what it returns may be awaited.
async function callAll(worker: WorkerInfo): Promise<void> {
  await greeted(worker);
  await mourned(worker, new Set());
  await awaited(worker, { requestId: 'r' });
}
const compressed: WebSocketEndpointOptions = { perMessageDeflate: { threshold: 1024 } };
const watched: WebSocketConnectionHandler = (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.ping();
};

interface Result {
  requestId: string;
  tokens: number;
}
const untyped: WorkerMessageHandler = (worker, message) => {
  const field: unknown = message['field'];
  console.log(worker.id, field);
};
const typed: WorkerMessageHandler<Result> = (_worker, message) => {
  const tokens: number = message.tokens;
  console.log(tokens);
};

async function main(): Promise<void> {
  const server: WorkerServer = new WorkerServer(options);
  new WorkerServer(smallest);
  new WorkerServer(rotating);
  new WorkerServer(leftOut);
  new WorkerServer({ port: 0, authToken: process.env['TOKEN'], limits: noLimits });
  new WorkerServer({ port: 0, authToken: severalTokens });

  const unsubscribers: Array<() => void> = [
    server.onWorkerConnected(connected),
    server.onWorkerConnected(async (worker) => {
      await Promise.resolve(worker.id);
    }),
    server.onWorkerConnected((worker) => severalTokens.push(worker.id)),
    server.onWorkerConnected(greeted),
    server.onWorkerDisconnected(mourned),
    server.onWorkerMessage('awaited', awaited),
    server.onWorkerDisconnected(disconnected),
    server.onWorkerDisconnected((worker: WorkerInfo, ids: ReadonlySet<string>) => describe(worker) + String(ids.size)),
    server.onWorkerDisconnected((_worker, ids: Set<string>) => ids.clear()),
    server.onWorkerDisconnected(async () => {}),
    server.onWorkerMessage('untyped', untyped),
    server.onWorkerMessage('untyped', (worker, message) => console.log(worker.name, message['requestId'])),
    server.onWorkerMessage('typed', typed),
    server.onWorkerMessage<Result>('typed', (_worker, message) => {
      server.releaseRequest(message.requestId, { incrementCompleted: true });
    }),
    server.onWorkerMessage('inferred', (_worker, message: Result) => message.tokens.toFixed()),
    server.onWorkerMessage('late', async (worker, message) => {
      await Promise.resolve([worker, message]);
    }),
    server.onWorkerMessage<unknown>('anything', (_worker, message: unknown) => message),
  ];
  for (const unsubscribe of unsubscribers) unsubscribe();

  server.addHttpHandler(asked);
  server.addHttpHandler(askedAtOnce);
  server.addHttpHandler((_req, res) => {
    res.end();
    return true;
  });
  server.addHttpHandler(async (req: IncomingMessage, res: ServerResponse) => {
    const plain: http.IncomingMessage = req;
    res.setHeader('x-peer', plain.socket.remoteAddress ?? '');
    return false;
  });
  server.addWebSocketEndpoint('/ws/dashboard', watched);
  server.addWebSocketEndpoint('/ws/other', (ws: WebSocket) => ws.close(1000, 'bye'));
  server.addWebSocketEndpoint('/ws/admitted', admitted);
  server.addWebSocketEndpoint('/ws/asked', (ws, req) => ws.send(req.url ?? ''), { perMessageDeflate: true });
  server.addWebSocketEndpoint('/ws/asked', (ws: WebSocket, req: IncomingMessage) => ws.send(req.url ?? ''), compressed);
  server.addWebSocketEndpoint('/ws/asked', watched, { perMessageDeflate: undefined });

  await server.start();
  const port: number = server.port;

  const worker: WorkerInfo | null = server.getAvailableWorker('m');
  const limitedWorker: WorkerInfo | null = server.getAvailableWorker('m', 'chat');
  const any: WorkerInfo | null = server.getAnyAvailableWorker();
  if (worker !== null && server.send(worker.id, { type: 'job', requestId: 'r' })) {
    server.trackRequest(worker.id, 'r');
    server.trackRequest(worker.id, 's', 'chat');
  }
  const message: Result = { requestId: 'r', tokens: 1 };
  const sent: boolean = server.send('w', message);
  server.broadcast(message);
  server.releaseRequest('r');
  server.releaseRequest('s', {});
  server.releaseRequest('s', { incrementCompleted: undefined });
  const counts: number[] = [
    port,
    server.getAvailableSlotCount('m'),
    server.getAvailableSlotCount('m', 'chat'),
    server.getWorkerCount(),
    server.getAvailableWorkerCount(),
  ];
  const infos: WorkerInfo[] = server.getWorkerInfo();
  await server.stop();
  console.log(limitedWorker, any, sent, counts, infos.map(describe), statuses, statusText);
}

class LoggingServer extends WorkerServer {
  override send(workerId: string, message: unknown): boolean {
    console.log(workerId);
    return super.send(workerId, message);
  }
}

holds<Same<typeof everything.WorkerServer, typeof WorkerServer>>();
const status: everything.WorkerStatus = everything.WorkerStatus.Busy;
void main();
export { LoggingServer, status, vague, vaguer, callAll };
