import type { IncomingMessage, ServerResponse } from 'http';
import type { WebSocket } from 'ws';

// ---------------------------------------------------------------------------------------------
// Workers
// ---------------------------------------------------------------------------------------------

/** What a worker can be asked to do right now. The values are plain strings: `'available'` and so on. */
export declare enum WorkerStatus {
  /** Takes requests. */
  Available = 'available',
  /** At capacity: `activeRequests` has reached `capabilities.maxConcurrentRequests`. */
  Busy = 'busy',
  /** Takes no new requests. Never set by the server; only a caller sets it, on a worker of its own pool. */
  Draining = 'draining',
  /** Silent for longer than the heartbeat timeout, or not registered at all. Its next heartbeat makes it available or busy. */
  Unhealthy = 'unhealthy',
}

/** A model that a worker offers. */
export interface ModelInfo {
  /**
   * The name by which the model is asked for. A worker supports a requested model if its `modelId` equals the
   * requested name, contains it, or is contained in it.
   */
  modelId: string;
  /** A name for people. */
  displayName: string;
  /** The size of the context window, in tokens. */
  maxContextTokens: number;
  /** The longest answer, in tokens. */
  maxOutputTokens: number;
  /** Whether answers can be streamed. */
  supportsStreaming: boolean;
  /** Whether images are accepted as input. */
  supportsVision?: boolean;
  /** Whether the model can call tools. */
  supportsTools?: boolean;
}

/** What a worker says of itself when it registers. Fields beyond these are kept as the worker sent them. */
export interface WorkerCapabilities {
  /** The models that the worker offers, possibly none. */
  models: ModelInfo[];
  /** How many requests the worker handles at the same time: finite and not negative. */
  maxConcurrentRequests: number;
  /** How many requests of a category the worker handles at the same time, by category. A category not named here has no limit of its own. */
  concurrencyLimits?: Record<string, number>;
  /** Anything that the worker wants to tell the application. */
  metadata?: Record<string, unknown>;
}

/**
 * A worker as the application sees it: a plain object, without its socket.
 *
 * `capabilities`, `pendingRequestIds` and `categoryActiveRequests` are the worker's own collections. They are the same
 * objects in every `WorkerInfo` of that worker and follow later {@link WorkerServer.trackRequest} and
 * {@link WorkerServer.releaseRequest} calls. The other fields are as of the moment the object was handed out.
 */
export interface WorkerInfo {
  /** The id under which the worker registered; `'unknown'` for a socket that hasn't registered. */
  readonly id: string;
  /** The name the worker gave itself; its id if it gave none. */
  readonly name: string;
  /** The status. */
  readonly status: WorkerStatus;
  /** What the worker said of itself at its registration, complete. */
  readonly capabilities: WorkerCapabilities;
  /** A UUID (version 4), new with each registration. */
  readonly sessionId: string;
  /** When the worker registered. */
  readonly connectedAt: Date;
  /** When the last heartbeat (or the registration) was received. */
  readonly lastHeartbeat: Date;
  /** How many tracked requests have not been released. */
  readonly activeRequests: number;
  /** How many requests were released with `incrementCompleted: true`. */
  readonly completedRequests: number;
  /** The ids of the tracked requests. */
  readonly pendingRequestIds: ReadonlySet<string>;
  /** The number of active requests by category. A category stays listed at 0 once it has been used. */
  readonly categoryActiveRequests: ReadonlyMap<string, number>;
}

/**
 * A worker in a {@link WorkerPool}: the caller's own object, whose fields are live both ways. What the pool changes can
 * be read on it, and what the caller sets on it holds in the pool's next query.
 */
export interface ConnectedWorker {
  /** The key in the pool. */
  readonly id: string;
  /** A name for people. */
  readonly name: string;
  /** Anything with `readyState`, `send(text)` and `close(code, reason)`. Mocks work. */
  readonly websocket: WebSocket;
  /** Models and limits. They are read when the worker is added. */
  readonly capabilities: WorkerCapabilities;
  /** The status. The pool changes it when the worker reaches or leaves its capacity, and by {@link WorkerPool.checkHealth}. */
  status: WorkerStatus;
  /** A name for this connection of the worker. */
  readonly sessionId: string;
  /** When the worker registered. */
  readonly connectedAt: Date;
  /** When the last sign of life was received. {@link WorkerPool.checkHealth} measures from here. */
  lastHeartbeat: Date;
  /** How many tracked requests have not been released. */
  activeRequests: number;
  /** The ids of the tracked requests. */
  readonly pendingRequests: Set<string>;
  /** How many requests were released with `incrementCompleted: true`. */
  completedRequests: number;
  /** The category of each pending request that was tracked with one, by request id. */
  readonly requestCategories: Map<string, string>;
  /** The number of active requests by category. */
  readonly categoryActiveRequests: Map<string, number>;
}

// ---------------------------------------------------------------------------------------------
// Handlers
// ---------------------------------------------------------------------------------------------

/** Called when a worker has registered. A throw or a rejection, of whatever value, is logged and touches nothing else. */
export type WorkerConnectedHandler = (worker: WorkerInfo) => void;

/**
 * Called when a registered worker has left the pool. `pendingRequestIds` is a Set of the handler's own: the requests that
 * were tracked on the worker and never released. A throw or a rejection is logged and touches nothing else.
 */
export type WorkerDisconnectedHandler = (worker: WorkerInfo, pendingRequestIds: Set<string>) => void;

/**
 * Called with a message of one type. `message` is what `JSON.parse` made of the frame; `T` is the caller's word for its
 * shape and is not checked. `worker.id` is `'unknown'` if the socket hasn't registered. A throw or a rejection is logged
 * and touches nothing else.
 *
 * @typeParam T The shape of the message.
 */
export type WorkerMessageHandler<T = Record<string, unknown>> = (worker: WorkerInfo, message: T) => void;

/**
 * Called with an HTTP request, after the handlers before it resolved with false. Resolve with true if the request is
 * answered or going to be, else with false, and the next handler is asked. A rejection is logged and the next handler is
 * asked, unless this one has begun to answer: then the answer is its own to end, since something may be piped into it still.
 */
export type HttpRequestHandler = (req: IncomingMessage, res: ServerResponse) => Promise<boolean>;

/** Called with each connection to an endpoint: a `WebSocket` of the package `ws`. */
export type WebSocketConnectionHandler = (ws: WebSocket) => void;

// ---------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------

/**
 * Where log lines go. No line ever holds a token.
 *
 * Of the lines that any peer can cause, such as `Invalid JSON message from worker`, a hundred of a kind are written in a second;
 * if there are more, one line `Log lines suppressed` with `{ message, count }` tells how many were left out.
 */
export interface WorkerServerLogger {
  /** What happens in normal operation, one line an event. */
  debug(message: string, context?: Record<string, unknown>): void;
  /** Kept for completeness: the server has no lines of this level. */
  info(message: string, context?: Record<string, unknown>): void;
  /** A peer that did something wrong, or something lost, such as a worker that left with pending requests. */
  warn(message: string, context?: Record<string, unknown>): void;
  /** Something that failed here: a handler, a socket, the port. */
  error(message: string, context?: Record<string, unknown>): void;
}

/** Bounds on what a peer can cost. Going beyond one costs that connection at most, with a warning, never the server. */
export interface WorkerServerLimits {
  /**
   * The largest message, in bytes. A larger one closes its connection with 1009.
   *
   * @defaultValue 104857600 (100 MiB)
   */
  maxMessageBytes?: number;
  /**
   * The time that a new connection has to send its request head, in milliseconds. Then it is answered with 408 and closed.
   *
   * @defaultValue 10000
   */
  headTimeoutMs?: number;
  /**
   * The largest request head, in bytes. A larger one is answered with 431 and its connection closed.
   *
   * @defaultValue 16384 (16 KiB)
   */
  maxHeadBytes?: number;
  /**
   * The time from connecting that a worker has to register, in milliseconds. Then it is closed with 4004
   * `Registration timeout`. A socket one of whose messages a handler took is exempt.
   *
   * @defaultValue 30000
   */
  registrationTimeoutMs?: number;
  /**
   * How many connections may be open at the same time. A further upgrade is answered with 503.
   *
   * @defaultValue 100000
   */
  maxConnections?: number;
  /**
   * How many worker connections that haven't registered may be open at the same time. A further upgrade is answered with 503.
   *
   * @defaultValue 10000
   */
  maxUnregistered?: number;
  /**
   * How much may wait to be sent to one worker, in bytes. Beyond it {@link WorkerServer.send} gives false until there is room.
   *
   * @defaultValue 67108864 (64 MiB)
   */
  maxQueuedBytes?: number;
  /**
   * How long a worker may take none of the data that waits for it, in milliseconds. Then it is closed with 4008 `Slow consumer`.
   *
   * @defaultValue 30000
   */
  stallTimeoutMs?: number;
  /**
   * How much may have been received from one connection and not yet been handled, in bytes. Beyond it that connection
   * is not read until handlers have caught up.
   *
   * @defaultValue 16777216 (16 MiB)
   */
  maxUnhandledBytes?: number;
  /**
   * How much may have been received by the whole server and not yet been handled, in bytes. Beyond it no worker connection is read
   * until handlers have caught up.
   *
   * @defaultValue 268435456 (256 MiB)
   */
  maxUnhandledBytesTotal?: number;
  /**
   * How long {@link WorkerServer.stop} waits for peers to answer, in milliseconds. What is left then is cut.
   *
   * @defaultValue 5000
   */
  stopGraceMs?: number;
}

/** The options of {@link WorkerServer}. */
export interface WorkerServerOptions {
  /** The TCP port. 0 lets the system choose a free one, which {@link WorkerServer.port} then gives. */
  port: number;
  /**
   * The IP address or host name to listen on, as of Node's `listen(port, host)`; of a name it is the first address that
   * is found when the server starts.
   *
   * @defaultValue all interfaces, IPv6 and IPv4
   */
  host?: string;
  /**
   * The token that each worker must send in its registration, or a list of tokens of which it must send one, so that they
   * can be changed while workers with the old one are still about. Without it none is asked for.
   */
  authToken?: string | readonly string[];
  /**
   * How long a worker may be silent, in milliseconds. Beyond it the worker is unhealthy; beyond three times as long its
   * connection is closed with 4003 `Heartbeat timeout`.
   *
   * @defaultValue 60000
   */
  heartbeatTimeoutMs?: number;
  /**
   * How often the silence of the workers is measured, in milliseconds.
   *
   * @defaultValue 10000
   */
  healthCheckIntervalMs?: number;
  /**
   * How often a worker is asked to send a heartbeat, in milliseconds. It is told at its registration.
   *
   * @defaultValue 15000
   */
  heartbeatIntervalMs?: number;
  /**
   * How often each connection is sent a WebSocket ping, in milliseconds; one that answers none of them for
   * `heartbeatTimeoutMs` is closed (4003 `Ping timeout`). With 0 no pings are sent.
   *
   * @defaultValue 0
   */
  pingIntervalMs?: number;
  /** Where log lines go. Without one nothing is logged. */
  logger?: WorkerServerLogger;
  /** Bounds on what a peer can cost. Those left out have their defaults. */
  limits?: WorkerServerLimits;
}

/** The options of {@link ConnectionHandler}. */
export interface ConnectionHandlerConfig {
  /** The token that each worker must send in its registration, or a list of which it must send one. Without it none is asked for. */
  authToken?: string | readonly string[];
  /** How long a worker may be silent, in milliseconds: heartbeats are answered with the deadline of the next one. */
  heartbeatTimeoutMs: number;
  /** How often a worker is asked to send a heartbeat, in milliseconds. It is told at its registration. */
  heartbeatIntervalMs: number;
}

// ---------------------------------------------------------------------------------------------
// Server
// ---------------------------------------------------------------------------------------------

/**
 * A WebSocket server for remote workers, with HTTP and further WebSocket endpoints on the same port.
 *
 * @example
 * ```ts
 * const server = new WorkerServer({ port: 8080, authToken: process.env.WORKER_TOKEN });
 * server.onWorkerMessage<{ requestId: string }>('result', (worker, message) => {
 *   server.releaseRequest(message.requestId, { incrementCompleted: true });
 * });
 * await server.start();
 * ```
 */
export declare class WorkerServer {
  /**
   * Does no I/O: nothing listens until {@link WorkerServer.start}.
   *
   * @throws A `TypeError` that names the option if one is missing or of the wrong kind.
   */
  constructor(options: WorkerServerOptions);

  /** The configured port; once started, the one that is bound. */
  get port(): number;

  /**
   * Listens on {@link WorkerServerOptions.host}, or on all interfaces, IPv4 and IPv6. Resolves when the port is bound. After a
   * failure, and after {@link WorkerServer.stop}, it can be called again.
   *
   * The handlers see the async context of this call (an `AsyncLocalStorage` has the store that it has here), whoever subscribed them.
   * Each event has a context of its own: what a handler puts into a store with `enterWith` is seen by the other handlers of that
   * event and by what follows from it, but by no other event, HTTP request or endpoint.
   *
   * @throws An `Error` with `code` (for example `'EADDRINUSE'`), `syscall: 'listen'`, `address` and `port` if the port can't be bound.
   * @throws An `Error` with `code` (for example `'ENOTFOUND'`) and `syscall: 'getaddrinfo'` if the host is a name that isn't found.
   * @throws An `Error` `WorkerServer is already running` if the server is running.
   */
  start(): Promise<void>;

  /**
   * Closes every worker with 1001 `Server shutting down`, without calling the disconnected handlers, then the endpoints
   * and the HTTP server. Resolves within {@link WorkerServerLimits.stopGraceMs}, whatever the peers do; at once if the server isn't
   * running. Endpoints are forgotten, event handlers and HTTP handlers are kept.
   */
  stop(): Promise<void>;

  /**
   * Calls `handler` for each worker that registers.
   *
   * @returns A function that removes the handler again. Calling it twice is harmless.
   */
  onWorkerConnected(handler: WorkerConnectedHandler): () => void;

  /**
   * Calls `handler` for each worker that leaves, with the ids of the requests that were pending on it.
   *
   * @returns A function that removes the handler again. Calling it twice is harmless.
   */
  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void;

  /**
   * Calls `handler` for each message with this `type`. The types `worker_registration` and `heartbeat` are the server's own.
   *
   * @typeParam T The shape of the message. It is not checked.
   * @returns A function that removes the handler again. Calling it twice is harmless.
   */
  onWorkerMessage<T = Record<string, unknown>>(type: string, handler: WorkerMessageHandler<T>): () => void;

  /**
   * Sends `JSON.stringify(message)` as one text frame.
   *
   * @returns False if the worker is unknown, its socket isn't open, too much is waiting for it
   * ({@link WorkerServerLimits.maxQueuedBytes}), or the message can't be serialised.
   */
  send(workerId: string, message: unknown): boolean;

  /**
   * Sends `JSON.stringify(message)` to each worker whose socket is open.
   *
   * @throws What `JSON.stringify` throws if the message can't be serialised (a `TypeError` for a cycle or a BigInt).
   */
  broadcast(message: unknown): void;

  /**
   * The least loaded of the available workers that support the model and have a free slot, also in the category if it is
   * given and limited. Ties go to the earliest registered. It claims nothing: see {@link WorkerServer.trackRequest}.
   *
   * @param model A model name, see {@link ModelInfo.modelId}.
   * @param category A key of {@link WorkerCapabilities.concurrencyLimits}.
   * @returns `null` if there is none.
   */
  getAvailableWorker(model: string, category?: string): WorkerInfo | null;

  /** The earliest registered worker whose status is available or busy, whatever its models. `null` if there is none. */
  getAnyAvailableWorker(): WorkerInfo | null;

  /**
   * The number of requests that could be started now: the free slots of all available workers that support the model, each
   * capped by the free slots of the category if it is given and limited. A worker beyond its limit counts as 0.
   */
  getAvailableSlotCount(model: string, category?: string): number;

  /** The number of registered workers, whatever their status. */
  getWorkerCount(): number;

  /** The number of workers whose status is available. */
  getAvailableWorkerCount(): number;

  /** All registered workers, in order of registration. */
  getWorkerInfo(): WorkerInfo[];

  /**
   * Counts a request on a worker. At capacity the worker becomes busy. Does nothing if the worker is unknown. The request
   * ends with {@link WorkerServer.releaseRequest} or in the pending ids of the worker's disconnected event.
   *
   * @param category Counted against {@link WorkerCapabilities.concurrencyLimits}.
   */
  trackRequest(workerId: string, requestId: string, category?: string): void;

  /**
   * Ends a request on the worker that holds it. A busy worker below its capacity becomes available. Does nothing if the
   * request is unknown.
   *
   * @param options `incrementCompleted` (default false) counts the request in {@link WorkerInfo.completedRequests}.
   */
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void;

  /**
   * Adds an HTTP handler, before or after {@link WorkerServer.start}. Handlers are asked in order until one resolves with
   * true. If none does, the answer is 404 with `{"error":"Not found"}`.
   */
  addHttpHandler(handler: HttpRequestHandler): void;

  /**
   * Adds a WebSocket endpoint, before or after {@link WorkerServer.start}. The same path again replaces the handler. An
   * upgrade to any path that isn't an endpoint's is a worker's connection.
   *
   * @param path The path of the URL, for example `/ws/dashboard`. A query string in the request doesn't matter.
   */
  addWebSocketEndpoint(path: string, handler: WebSocketConnectionHandler): void;
}

// ---------------------------------------------------------------------------------------------
// The parts on their own
// ---------------------------------------------------------------------------------------------

/** A collection of caller-made workers with selection, request tracking and health judgement. It does no I/O of its own. */
export declare class WorkerPool {
  /** Without a logger nothing is logged. */
  constructor(logger?: WorkerServerLogger);

  /**
   * Adds a worker, last in order. One with the same id is replaced in its place.
   *
   * @throws A `TypeError` that names the field if the worker, or a field that the pool needs, is missing or of the wrong type.
   */
  add(worker: ConnectedWorker): void;

  /** Removes a worker and gives the object that was added, or `undefined` if the id is unknown. */
  remove(workerId: string): ConnectedWorker | undefined;

  /** The object that was added, or `undefined` if the id is unknown. */
  get(workerId: string): ConnectedWorker | undefined;

  /** Whether a worker with this id is in the pool. */
  has(workerId: string): boolean;

  /** The workers, in order of addition. */
  values(): IterableIterator<ConnectedWorker>;

  /** See {@link WorkerServer.getAvailableWorker}. Gives the object that was added. */
  getAvailableWorker(model: string, category?: string): ConnectedWorker | null;

  /** See {@link WorkerServer.getAnyAvailableWorker}. Gives the object that was added. */
  getAnyAvailableWorker(): ConnectedWorker | null;

  /** See {@link WorkerServer.getAvailableSlotCount}. */
  getAvailableSlotCount(model: string, category?: string): number;

  /** The number of workers, whatever their status. */
  getCount(): number;

  /** The number of workers whose status is available. */
  getAvailableCount(): number;

  /** A {@link WorkerInfo} of each worker, in order of addition. */
  getWorkerInfoList(): WorkerInfo[];

  /** See {@link WorkerServer.trackRequest}. */
  trackRequest(workerId: string, requestId: string, category?: string): void;

  /** See {@link WorkerServer.releaseRequest}. */
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean }): void;

  /**
   * Marks each worker that has been silent for longer than `timeoutMs` unhealthy.
   *
   * @param timeoutMs In milliseconds.
   * @returns The ids of the workers that have been silent for longer than three times `timeoutMs`.
   */
  checkHealth(timeoutMs: number): string[];

  /**
   * Calls `websocket.send(JSON.stringify(message))` if the socket is open (`readyState` 1).
   *
   * @returns False if the worker is unknown, its socket isn't open, the message can't be serialised, or `send` throws.
   */
  send(workerId: string, message: unknown): boolean;

  /**
   * Sends `JSON.stringify(message)` to each worker whose socket is open.
   *
   * @throws What `JSON.stringify` throws if the message can't be serialised.
   */
  broadcast(message: unknown): void;

  /** Closes every socket with 1001 `Server shutting down` and empties the pool. */
  closeAll(): void;
}

/** Speaks the workers' protocol over sockets that the caller accepted, and keeps a pool up to date. */
export declare class ConnectionHandler {
  /** Without a logger nothing is logged. */
  constructor(pool: WorkerPool, config: ConnectionHandlerConfig, logger?: WorkerServerLogger);

  /** See {@link WorkerServer.onWorkerMessage}. */
  onMessage<T = Record<string, unknown>>(type: string, handler: WorkerMessageHandler<T>): () => void;

  /** See {@link WorkerServer.onWorkerConnected}. */
  onWorkerConnected(handler: WorkerConnectedHandler): () => void;

  /** See {@link WorkerServer.onWorkerDisconnected}. */
  onWorkerDisconnected(handler: WorkerDisconnectedHandler): () => void;

  /**
   * Takes over a socket: listens to its `message`, `close` and `error` events and answers with its `send` and `close`.
   *
   * @param ws A `WebSocket` of `ws`, or anything with `readyState`, `send`, `close` and `on`.
   */
  handleConnection(ws: WebSocket): void;
}

/** The {@link WorkerInfo} of a worker, with the worker's own collections in it. */
export declare function toWorkerInfo(worker: ConnectedWorker): WorkerInfo;

/** Compares two strings by their UTF-8 bytes, in a time that doesn't depend on where they differ or on how long they are. */
export declare function safeCompare(a: string, b: string): boolean;
