// What must not compile. Each line below a directive has to be an error: a directive over a line without one is an error itself.

import {
  ConnectionHandler,
  WorkerPool,
  WorkerRequestError,
  WorkerServer,
  WorkerStatus,
  safeCompare,
  type ConnectedWorker,
  type HttpRequestHandler,
  type ModelInfo,
  type WorkerCapabilities,
  type WorkerInfo,
  type WorkerServerLogger,
  type WorkerServerOptions,
} from '@hardlydifficult/worker-server';

declare const server: WorkerServer;
declare const pool: WorkerPool;
declare const info: WorkerInfo;
declare const worker: ConnectedWorker;

// @ts-expect-error the options are required
new WorkerServer();
// @ts-expect-error the port is required
new WorkerServer({});
// @ts-expect-error a port is a number
new WorkerServer({ port: '8080' });
// @ts-expect-error no such option
new WorkerServer({ port: 0, token: 'x' });
// @ts-expect-error an option that is on or off
new WorkerServer({ port: 0, acceptUnregistered: 'yes' });
// @ts-expect-error an option that is on or off
new WorkerServer({ port: 0, reusePort: 1 });
// @ts-expect-error no such limit
new WorkerServer({ port: 0, limits: { maxBytes: 1 } });
// @ts-expect-error limits are numbers
new WorkerServer({ port: 0, limits: { stopGraceMs: '5s' } });
// @ts-expect-error a logger has all four levels
const halfALogger: WorkerServerLogger = { debug() {}, info() {}, warn() {} };
// @ts-expect-error an auth token is a string
const options: WorkerServerOptions = { port: 0, authToken: null };
// @ts-expect-error auth tokens are strings
new WorkerServer({ port: 0, authToken: ['a', 1] });
// @ts-expect-error auth tokens are strings
new ConnectionHandler(pool, { heartbeatTimeoutMs: 1, heartbeatIntervalMs: 1, authToken: [undefined] });
// @ts-expect-error a host is a string
new WorkerServer({ port: 0, host: ['127.0.0.1'] });

// @ts-expect-error the port can't be set
server.port = 1;
// @ts-expect-error the server has no worker sockets to hand out
server.getWorkerInfo()[0]?.websocket;
// @ts-expect-error null has to be ruled out first
server.getAvailableWorker('m').id;
// @ts-expect-error the model is required
server.getAvailableWorker();
// @ts-expect-error the message is required
server.send('w');
// @ts-expect-error no such option
server.releaseRequest('r', { completed: true });
// @ts-expect-error stop returns a promise
const stopped: boolean = server.stop();
// @ts-expect-error without a type a message's fields are unknown
server.onWorkerMessage('result', (_worker, message) => message['tokens'].toFixed());
// @ts-expect-error the message has the type that was given
server.onWorkerMessage<{ tokens: number }>('result', (_worker, message) => message.characters);
// @ts-expect-error the type of the message comes first
server.onWorkerMessage((_worker: WorkerInfo) => {});
// @ts-expect-error a handler gets the worker, not its id
server.onWorkerConnected((worker: string) => worker);
// @ts-expect-error an HTTP handler says whether it handled the request
server.addHttpHandler(async (_req, res) => res.end());
// @ts-expect-error an HTTP handler says whether it handled the request
server.addHttpHandler((_req, res) => res.end());
// @ts-expect-error an HTTP handler says whether it handled the request
const handler: HttpRequestHandler = () => undefined;
// @ts-expect-error an endpoint has a handler
server.addWebSocketEndpoint('/ws');
// @ts-expect-error the path of an endpoint comes first
server.addWebSocketEndpoint((ws: unknown) => ws);
// @ts-expect-error no such option
server.addWebSocketEndpoint('/ws', () => {}, { compress: true });
// @ts-expect-error an endpoint gets the request, not its URL
server.addWebSocketEndpoint('/ws', (_ws, req: string) => req);

// @ts-expect-error a request has a payload
server.request();
// @ts-expect-error no such option
server.request('x', { modell: 'm' });
// @ts-expect-error no such class
server.request('x', { priority: 'urgent' });
// @ts-expect-error what a worker returns is not known, unless its type is named
server.request('x').then((result) => result.text);
// @ts-expect-error no such bound
server.request('x', { where: { memory: { above: 40 } } });
// @ts-expect-error a stream is no promise
server.stream('x').then(() => {});
// @ts-expect-error the id of a stream stays
server.stream('x').requestId = 'r';
// @ts-expect-error explain knows what a request asks of a worker, and no more
server.explain({ priority: 'high' });
// @ts-expect-error an application can't make a worker busy
server.setWorkerStatus('w', 'busy');
// @ts-expect-error a close code is a number
server.disconnectWorker('w', { code: '1000' });
// @ts-expect-error the state can only be read
server.state = 'running';
// @ts-expect-error no such signal
new WorkerServer({ port: 0, drainOnSignals: ['SIGNOTHING'] });
// @ts-expect-error a carrier holds strings
new WorkerServer({ port: 0, injectTrace: (carrier: Record<string, number>) => void carrier });
// @ts-expect-error a fleet's types name the result too
new WorkerServer({ port: 0, requestTypes: { request: 'work' } });
// @ts-expect-error only the package makes these errors
new WorkerRequestError('lost');

// @ts-expect-error fields of a WorkerInfo are readonly
info.status = WorkerStatus.Busy;
// @ts-expect-error fields of a WorkerInfo are readonly
info.activeRequests = 1;
// @ts-expect-error the collections of a WorkerInfo are readonly
info.pendingRequestIds.add('r');
// @ts-expect-error the collections of a WorkerInfo are readonly
info.categoryActiveRequests.set('chat', 1);
// @ts-expect-error a status is a member of the enum
const status: WorkerStatus = 'available';
// @ts-expect-error no such status
WorkerStatus.Offline;

// @ts-expect-error the id of a worker is its key
worker.id = 'other';
// @ts-expect-error the socket of a worker stays
worker.websocket = worker.websocket;
// @ts-expect-error the set of pending requests stays
worker.pendingRequests = new Set<string>();
// @ts-expect-error a ConnectedWorker has no pendingRequestIds
worker.pendingRequestIds;
// @ts-expect-error a WorkerInfo is no ConnectedWorker
pool.add(info);
// @ts-expect-error undefined has to be ruled out first
pool.get('w').id;
// @ts-expect-error both intervals are required
new ConnectionHandler(pool, { heartbeatTimeoutMs: 1 });
// @ts-expect-error strings only
safeCompare('a', undefined);
// @ts-expect-error a model has a size
const model: ModelInfo = { modelId: 'm', displayName: 'M', maxOutputTokens: 1, supportsStreaming: true };
// @ts-expect-error limits are numbers
const capabilities: WorkerCapabilities = { models: [], maxConcurrentRequests: 1, concurrencyLimits: { chat: 'one' } };

export { halfALogger, options, stopped, handler, status, model, capabilities };
