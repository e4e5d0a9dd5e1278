import type { IncomingMessage, ServerResponse } from 'http';
import type { PerMessageDeflateOptions, WebSocket } from 'ws';
import type {
  Explanation,
  QueueInfo,
  QueueOptions,
  RequestOptions,
  RequestStream,
  RequestTypes,
} from './lib/requests/types.js';

export { WorkerRequestError } from './lib/requests/types.js';
export type {
  Explanation,
  ExplanationReason,
  QueueInfo,
  QueueOptions,
  RequestOptions,
  RequestStream,
  RequestTypes,
  Scalar,
  WorkerRequestErrorCode,
  WorkerSelector,
} from './lib/requests/types.js';
export type {
  HandlerErrorMessage,
  RequestTraceContext,
  WorkerConnectedMessage,
  WorkerDisconnectedMessage,
  WorkerUpdatedMessage,
} from './lib/workers/diagnostics.js';

// ---------------------------------------------------------------------------------------------
// Workers
// ---------------------------------------------------------------------------------------------

/** What a worker can be asked to do right now. The values are plain strings: `'available'` and so on. */
export declare enum WorkerStatus {
  /** Takes requests. */
  Available = 'available',
  /** At capacity: `activeRequests` has reached `capabilities.maxConcurrentRequests`. */
  Busy = 'busy',
  /** Takes no new requests: the worker, or the application, wants it to leave. */
  Draining = 'draining',
  /** Silent for longer than the heartbeat timeout, or not registered at all. Its next heartbeat makes it available or busy. */
  Unhealthy = 'unhealthy',
}

/** A model that a worker offers. */
export interface ModelInfo {
  /**
   * The name by which the model is asked for. A worker supports a requested model if its `modelId` equals the
   * requested name, contains it, or is contained in it; with {@link WorkerServerOptions.modelMatch} `'exact'` only if
   * it equals it.
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
  supportsVision?: boolean | undefined;
  /** Whether the model can call tools. */
  supportsTools?: boolean | undefined;
}

/** What a worker says of itself when it registers. Fields beyond these are kept as the worker sent them. */
export interface WorkerCapabilities {
  /** The models that the worker offers, possibly none. */
  models: ModelInfo[];
  /** How many requests the worker handles at the same time: finite and not negative. */
  maxConcurrentRequests: number;
  /** How many requests of a category the worker handles at the same time, by category. A category not named here has no limit of its own. */
  concurrencyLimits?: Record<string, number> | undefined;
  /** Anything else about the worker that the application wants to know. */
  metadata?: Record<string, unknown> | undefined;
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
  /** How many requests are under way: tracked and not released, or of {@link WorkerServer.request}. */
  readonly activeRequests: number;
  /** How many requests were released with `incrementCompleted: true`, or were answered with a result. */
  readonly completedRequests: number;
  /** The ids of the requests that are under way. */
  readonly pendingRequestIds: ReadonlySet<string>;
  /** The number of active requests by category. A category stays listed at 0 once it has been used. */
  readonly categoryActiveRequests: ReadonlyMap<string, number>;
  /** The `context` of {@link WorkerServerOptions.authenticate}; only there if that returned one. No log line and no page shows it. */
  readonly auth?: unknown;
}

/** Whence a worker's connection came, and the request that opened it: an object of the caller's own. */
export interface ConnectionInfo {
  /**
   * The peer's IP address: that of the socket, or the one that a proxy names which {@link WorkerServerOptions.trustProxy}
   * trusts. An IPv4 address is one, also where the server listens on IPv6.
   */
  remoteAddress: string;
  /** The port at the other end of the socket, also where that is a proxy's. */
  remotePort: number;
  /** Path and query of the request that opened the connection. */
  url: string;
  /** The request's header fields, with names in lower case; the values of fields with the same name are joined by commas. */
  headers: Readonly<Record<string, string>>;
  /** Whether the connection is encrypted up to this process. */
  encrypted: boolean;
  /** When the connection was opened. {@link WorkerInfo.connectedAt} is when its worker registered. */
  connectedAt: Date;
}

/** What is known of a worker that wants to register. Token and headers are secrets: keep them out of logs. */
export interface WorkerCredentials {
  /** The id under which it wants to register. */
  workerId: string;
  /** Its name; its id if it gave none. */
  workerName: string;
  /** What it says of itself, complete. */
  capabilities: WorkerCapabilities;
  /** The token of its registration or, if that has none, of `Authorization: Bearer` on the upgrade; only there if it gave one. */
  authToken?: string;
  /** Path and query of the request that opened the connection. */
  url: string;
  /** That request's header fields, as {@link ConnectionInfo.headers}. */
  headers: Readonly<Record<string, string>>;
  /** Its IP address, as {@link ConnectionInfo.remoteAddress}. */
  remoteAddress: string;
  /** Its certificate; only there if {@link TlsOptions.requestCert} asked for one, and it showed one. */
  peerCertificate?: PeerCertificate;
}

/** A worker's certificate, which was verified in the handshake. The members are those of `X509Certificate` in `node:crypto`. */
export interface PeerCertificate {
  /** Its subject, a line for each part: `CN=w1`. */
  subject: string;
  /** Its alternative names, one by one: `DNS:w1`, `URI:spiffe://example/w1`, `IP Address:192.0.2.1`. */
  subjectAltNames: string[];
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  fingerprint256: string;
  /** Until when it is valid: `Jan 31 12:00:00 2027 GMT`. */
  validTo: string;
  /** The certificate itself, in DER. */
  raw: Buffer;
}

/**
 * Whether a worker may register: only `true`, or an object with `ok: true`, is a yes. The `context` of a yes stands in
 * {@link WorkerInfo.auth}; the `reason` of a no is logged, and the worker is not told.
 */
export type AuthDecision =
  | boolean
  | {
      /** Only `true` is a yes. */
      ok: boolean;
      /** Why not, for the log. */
      reason?: string | undefined;
      /** What the application knows of the worker: it becomes {@link WorkerInfo.auth}. */
      context?: unknown;
    };

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

// A function that returns `void` may return anything, as `(worker) => list.push(worker)` does, and a linter complains of an
// async one in its place. So each type says both, of which the second is for async functions.

/** Called when a worker has registered. It may be async. A throw or a rejection, of whatever value, is logged and touches nothing else. */
export type WorkerConnectedHandler = ((worker: WorkerInfo) => void) | ((worker: WorkerInfo) => Promise<void>);

/**
 * Called when a registered worker has left the pool. `pendingRequestIds` is a Set of the handler's own: the requests that
 * were tracked on the worker and never released; those of {@link WorkerServer.request} end by themselves. It may be async.
 * A throw or a rejection is logged and touches nothing else.
 */
export type WorkerDisconnectedHandler =
  | ((worker: WorkerInfo, pendingRequestIds: Set<string>) => void)
  | ((worker: WorkerInfo, pendingRequestIds: Set<string>) => Promise<void>);

/**
 * Called when a worker began or ceased to drain, or can do something else than before: `change` says which. It may be async. A throw
 * or a rejection is logged and touches nothing else.
 */
export type WorkerUpdatedHandler =
  | ((worker: WorkerInfo, change: 'status' | 'capabilities') => void)
  | ((worker: WorkerInfo, change: 'status' | 'capabilities') => Promise<void>);

/**
 * Called with a message of one type. `message` is what `JSON.parse` made of the frame; `T` is the caller's word for its
 * shape and is not checked. `worker.id` is `'unknown'` if the socket hasn't registered, see
 * {@link WorkerServerOptions.acceptUnregistered}. It may be async. A throw or a rejection is logged and touches nothing else.
 *
 * @typeParam T The shape of the message.
 */
export type WorkerMessageHandler<T = Record<string, unknown>> =
  ((worker: WorkerInfo, message: T) => void) | ((worker: WorkerInfo, message: T) => Promise<void>);

/**
 * Called with an HTTP request, after the handlers before it returned false. Returns whether the request is answered or going to
 * be, as a boolean or a promise of one; if not, the next handler is asked. A throw or a rejection is logged and the next handler
 * is asked, unless this one has begun to answer: then the answer is its own to end, since something may be piped into it still.
 */
export type HttpRequestHandler = (req: IncomingMessage, res: ServerResponse) => boolean | Promise<boolean>;

/**
 * Called with each connection to an endpoint: a `WebSocket` of the package `ws`, and the request that opened it. It may be async.
 * A throw or a rejection is logged and touches nothing else.
 */
export type WebSocketConnectionHandler =
  ((ws: WebSocket, req: IncomingMessage) => void) | ((ws: WebSocket, req: IncomingMessage) => Promise<void>);

// ---------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------

/**
 * Where log lines go. No line ever holds a token.
 *
 * Of the lines that any peer can cause, such as `Invalid JSON message from worker`, a hundred of a kind are written in a second;
 * if there are more, one line `Log lines suppressed` with `{ message, count }` says how many were left out.
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

/**
 * Bounds on what a peer can cost. Going beyond one costs that connection at most, with a warning, never the server.
 *
 * Sizes and counts are whole numbers from 1. Times are milliseconds from 0, and fractions are rounded up. With 0 or `Infinity`
 * there is no such time limit; only those that end in `GraceMs` are different: with 0 nothing is waited for.
 */
export interface WorkerServerLimits {
  /**
   * The largest message, in bytes: at most `buffer.constants.MAX_STRING_LENGTH`, the longest string that there can be. A larger
   * message closes its connection with 1009.
   *
   * @defaultValue 104857600 (100 MiB)
   */
  maxMessageBytes?: number | undefined;
  /**
   * The time that a new connection has to send its request head, in milliseconds. Then it is answered with 408 and closed.
   *
   * @defaultValue 10000
   */
  headTimeoutMs?: number | undefined;
  /**
   * The largest request head, in bytes. A larger one is answered with 431 and its connection closed.
   *
   * @defaultValue 16384 (16 KiB)
   */
  maxHeadBytes?: number | undefined;
  /**
   * The time from connecting that a worker has to register, in milliseconds. Then it is closed with 4004
   * `Registration timeout`. A socket one of whose messages a handler took is exempt, see
   * {@link WorkerServerOptions.acceptUnregistered}.
   *
   * @defaultValue 30000
   */
  registrationTimeoutMs?: number | undefined;
  /**
   * How many connections may be open at the same time. A further upgrade is answered with 503.
   *
   * @defaultValue 100000
   */
  maxConnections?: number | undefined;
  /**
   * How many worker connections that haven't registered may be open at the same time. A further upgrade is answered with 503.
   *
   * @defaultValue 10000
   */
  maxUnregistered?: number | undefined;
  /**
   * How long {@link WorkerServerOptions.authenticate} may take to decide, in milliseconds. Then the worker is closed with 4001.
   *
   * @defaultValue 10000
   */
  authTimeoutMs?: number | undefined;
  /**
   * How often workers from one address (of IPv6: from one /64) may fail to authenticate within a minute: a whole number, 0 for no
   * limit. Then upgrades from there are answered with 429 and `Retry-After` for a minute, but for those that bring a right token as
   * `Authorization: Bearer`. At most 10,000 addresses are remembered.
   *
   * @defaultValue 0 (no limit)
   */
  maxAuthFailures?: number | undefined;
  /**
   * How much may wait to be sent to one worker, in bytes. Beyond it {@link WorkerServer.send} returns false until there is room.
   *
   * @defaultValue 67108864 (64 MiB)
   */
  maxQueuedBytes?: number | undefined;
  /**
   * How long a worker may take none of the data that waits for it, in milliseconds. Then it is closed with 4008 `Slow consumer`.
   *
   * @defaultValue 30000
   */
  stallTimeoutMs?: number | undefined;
  /**
   * How much may have been received from one connection and not yet been handled, in bytes. Beyond it that connection
   * is not read until handlers have caught up.
   *
   * @defaultValue 16777216 (16 MiB)
   */
  maxUnhandledBytes?: number | undefined;
  /**
   * How much may have been received by the whole server and not yet been handled, in bytes. Beyond it no worker connection is read
   * until handlers have caught up.
   *
   * @defaultValue 268435456 (256 MiB)
   */
  maxUnhandledBytesTotal?: number | undefined;
  /**
   * How long {@link WorkerServer.stop} waits for peers to answer, in milliseconds. What is left then is cut; with 0 that is at
   * once. It waits at most 2,147,483,647 ms, as long as a timer can.
   *
   * @defaultValue 5000
   */
  stopGraceMs?: number | undefined;
  /**
   * How long a worker may take to confirm that it let go of a cancelled request, in milliseconds; with 0 it is not waited for. Then
   * its slot is free all the same, with a warning.
   *
   * @defaultValue 30000
   */
  cancelGraceMs?: number | undefined;
  /**
   * How long the requests of a worker whose connection was lost wait for it to come back and go on, in milliseconds. With 0 they
   * are lost at once, and workers are not offered to resume.
   *
   * @defaultValue 10000
   */
  resumeGraceMs?: number | undefined;
  /**
   * The chunks of one stream that nobody has read, in bytes of their messages' text. Beyond it that request ends with
   * `STREAM_OVERFLOW`.
   *
   * @defaultValue 16777216
   */
  maxStreamBytes?: number | undefined;
}

/**
 * Carries messages between the servers of a fleet. `@hardlydifficult/worker-server/cluster` has adapters for NATS, for Redis and for
 * tests.
 */
export interface ClusterAdapter {
  /** Has every subscriber of the channel get the data, this process' own included. Messages may be lost, but not altered. */
  publish(channel: string, data: Uint8Array): void | Promise<void>;
  /**
   * Has `onMessage` called with each message of a channel.
   *
   * @returns What ends that, once the subscription stands.
   */
  subscribe(channel: string, onMessage: (data: Uint8Array) => void): Promise<() => void>;
  /** Called when the server has stopped, if there is one: for what the adapter itself has opened. */
  close?(): Promise<void>;
}

/** How a server is one of a fleet. docs/CLUSTER.md is the guide. */
export interface ClusterOptions {
  /** What carries the messages. */
  adapter: ClusterAdapter;
  /**
   * The fleet's name, 1 to 64 of `A-Z a-z 0-9 _ -`. Nodes of other fleets on the same broker are not seen.
   *
   * @defaultValue `'default'`
   */
  name?: string | undefined;
  /**
   * This node's id, of the same characters. `start()` rejects while another node has it.
   *
   * @defaultValue a random UUID
   */
  nodeId?: string | undefined;
  /**
   * Whether a request goes to a free slot of this server, if there is one, before other nodes are looked at.
   *
   * @defaultValue true
   */
  preferLocal?: boolean | undefined;
  /**
   * How often a node says that it lives and how its workers are, in milliseconds.
   *
   * @defaultValue 2000
   */
  heartbeatMs?: number | undefined;
  /**
   * After how long a silent node counts as dead, in milliseconds; at least three times `heartbeatMs`. `start()` rejects if the fleet
   * can't be joined within it.
   *
   * @defaultValue 10000
   */
  timeoutMs?: number | undefined;
  /** Known to all nodes of the fleet: messages that are not signed with it are dropped. They are not encrypted. */
  secret?: string | undefined;
}

/** What a server knows of its fleet. */
export interface ClusterInfo {
  /** This node's id. */
  nodeId: string;
  /** All nodes, in the order of their ids. */
  nodes: ClusterNodeInfo[];
}

/** A node of a fleet. */
export interface ClusterNodeInfo {
  /** Its id. */
  nodeId: string;
  /** Whether it is the server that was asked. */
  self: boolean;
  /** How many workers it has. */
  workers: number;
  /** How many requests these take at once. */
  slots: number;
  /** How many they have. */
  busy: number;
  /** How many requests wait there for a free slot. */
  waiting: number;
  /** How long ago it was last heard, in milliseconds; 0 for this server. */
  lastSeenMs: number;
}

/** A certificate chain and its key, in PEM. */
export interface TlsCertificate {
  /** The chain, the server's own certificate first. */
  cert: string | Uint8Array;
  /**
   * The key of the first certificate, not encrypted: PKCS #8, PKCS #1 or SEC 1; RSA of 2,048 to 8,192 bits, P-256, P-384 or Ed25519.
   */
  key: string | Uint8Array;
}

/**
 * TLS in the server's own process: version 1.2 or 1.3, ALPN `http/1.1`. What is wrong with it is a `TypeError` that names the member
 * (`options.tls.key must be …`) and holds nothing of it.
 */
export interface TlsOptions extends TlsCertificate {
  /** Certificates, in PEM, of the authorities whose client certificates are accepted. Required where `requestCert` is true. */
  ca?: string | Uint8Array | undefined;
  /**
   * Whether clients are asked for a certificate.
   *
   * @defaultValue false
   */
  requestCert?: boolean | undefined;
  /**
   * Whether clients without a certificate are refused, where one is asked for. With false they are let in. A certificate that is shown
   * must be verified by `ca` in any case.
   *
   * @defaultValue true
   */
  rejectUnauthorized?: boolean | undefined;
  /**
   * The oldest version of TLS that is accepted.
   *
   * @defaultValue 'TLSv1.2'
   */
  minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /**
   * Certificates by the host name that a client asks for (SNI), in any case; `*.example.com` stands for one label in front. A client that
   * asks for another name, or for none, is shown `cert`.
   */
  sni?: Readonly<Record<string, TlsCertificate>> | undefined;
}

/**
 * The options of {@link WorkerServer}. They are read once, by its constructor. A name that isn't here is passed over, with a
 * process warning with the code `WORKER_SERVER_UNKNOWN_OPTION`; so is an unknown member of `limits`, of `tls` or of a certificate in
 * `tls.sni`.
 */
export interface WorkerServerOptions {
  /** The TCP port. 0 lets the system choose a free one, which {@link WorkerServer.port} then returns. */
  port: number;
  /**
   * The IP address or host name to listen on, as of Node's `listen(port, host)`; of a name it is the first address that
   * is found when the server starts.
   *
   * @defaultValue all interfaces, IPv6 and IPv4
   */
  host?: string | undefined;
  /**
   * The token that each worker must send in its registration, or as `Authorization: Bearer` with its upgrade (the registration's
   * wins if both are there), or a list of tokens of which it must send one, so that they
   * can be changed while workers with the old one are still about. Without it none is asked for. An empty one lets workers in
   * that send none, which is hardly meant, so a process warning with the code `WORKER_SERVER_EMPTY_TOKEN` says so.
   */
  authToken?: string | readonly string[] | undefined;
  /**
   * Whether sockets that haven't registered may send messages to the handlers (as the worker `'unknown'`) and heartbeats. If not,
   * what they send is dropped, with the warning `Message from unregistered connection`. If so, one that is silent for three times
   * `heartbeatTimeoutMs` after a handler took a message of it is closed with 4004.
   *
   * @defaultValue true where no token is asked for and nobody is judged, else false
   */
  acceptUnregistered?: boolean | undefined;
  /**
   * Judges each registration whose token ({@link WorkerServerOptions.authToken}, if there is one) and fields are right. The
   * worker waits for the decision, for {@link WorkerServerLimits.authTimeoutMs} at most; what it sends meanwhile stays unread.
   * Others don't wait, and who is decided later joins later. A no, a throw and a rejection look to the worker as a wrong token.
   *
   * @param signal Aborts when the connection closes, at the timeout, and at {@link WorkerServer.stop}. A decision after that
   * counts for nothing. The end of a worker that has sent more behind its registration than the system's socket buffers hold
   * (some 64 KiB) shows when that is read.
   */
  authenticate?:
    ((credentials: WorkerCredentials, signal: AbortSignal) => AuthDecision | Promise<AuthDecision>) | undefined;
  /**
   * What becomes of a registration under an id that another connection has: `'replace'` closes the other one with 4003,
   * `'reject'` closes the new one with 4009 `Id in use`. A function decides by what it returns: only `true` replaces. It is
   * called after {@link WorkerServerOptions.authenticate}, in the tick in which the worker would join. There is no conflict
   * with a worker that is unhealthy or closing, nor with the session that the registration resumes.
   *
   * @defaultValue 'replace'
   */
  onConflict?: 'replace' | 'reject' | ((existing: WorkerInfo, credentials: WorkerCredentials) => boolean) | undefined;
  /**
   * The pages from which workers may connect: what the header field `Origin` may be, compared whole and in any case. Another
   * one is answered with 403. Upgrades without an `Origin` come from no browser and are let in. `'null'`, the origin of
   * sandboxed pages and files, must be listed, too. With an empty list no page may connect. HTTP requests and endpoints are
   * yours to check.
   *
   * @defaultValue any
   */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * The path, or the paths, by which workers connect, encoded as in a URL (`/w%C3%B6rker`), and compared exactly with that of
   * the upgrade without its query. An upgrade of another path that is no endpoint's is answered with 404.
   *
   * @defaultValue any that is no endpoint's
   */
  workerPath?: string | readonly string[] | undefined;
  /**
   * The proxies whose `X-Forwarded-For` is believed: IP addresses and CIDR ranges (`10.0.0.0/8`). The last address of that
   * field that is none of theirs counts as the worker's, in {@link WorkerServer.getConnectionInfo} and for
   * {@link WorkerServerLimits.maxAuthFailures}. HTTP requests are left as they are.
   *
   * @defaultValue none
   */
  trustProxy?: readonly string[] | undefined;
  /**
   * TLS for everything on the port: workers, HTTP requests and endpoints. Without it the port is plain. See {@link TlsOptions}, and
   * {@link WorkerServer.setSecureContext} for new certificates without a restart.
   */
  tls?: TlsOptions | undefined;
  /**
   * Whether other processes may listen on the same port (`SO_REUSEPORT`), with this same option and of the same user. The system
   * then hands each connection to one of them. In a worker process of `node:cluster` the port is shared without it.
   *
   * @defaultValue false
   */
  reusePort?: boolean | undefined;
  /**
   * How long a worker may be silent, in milliseconds. Beyond it the worker is unhealthy; beyond three times as long its
   * connection is closed with 4003 `Heartbeat timeout`. With 0 any silence is too long, with `Infinity` none is.
   *
   * @defaultValue 60000
   */
  heartbeatTimeoutMs?: number | undefined;
  /**
   * How often the silence of the workers is measured, in milliseconds; from 1, which 0 stands for too. With `Infinity` it is
   * never measured.
   *
   * @defaultValue 10000
   */
  healthCheckIntervalMs?: number | undefined;
  /**
   * How often a worker is asked to send a heartbeat, in milliseconds: a finite number. It is in the ack of its registration, as it is.
   *
   * @defaultValue 15000
   */
  heartbeatIntervalMs?: number | undefined;
  /**
   * How often each connection is sent a WebSocket ping, in milliseconds; one that answers none of them for
   * `heartbeatTimeoutMs` is closed (4003 `Ping timeout`). With 0 or `Infinity` no pings are sent.
   *
   * @defaultValue 0
   */
  pingIntervalMs?: number | undefined;
  /** How many requests may wait for a free slot, and for how long. */
  queue?: QueueOptions | undefined;
  /**
   * Whether a worker's model may also contain the name that is asked for, or be contained in it (`loose`, as in 1.0.x), in
   * requests and in the selectors alike.
   *
   * @defaultValue `'loose'`
   */
  modelMatch?: 'loose' | 'exact' | undefined;
  /** Has this server and others be one fleet: a request at any of them reaches the workers of all. */
  cluster?: ClusterOptions | undefined;
  /** The message types of workers that were written before there were requests, so that these take part. */
  requestTypes?: RequestTypes | undefined;
  /**
   * The signals at which the server drains and stops, a second one stopping it at once; `true` stands for SIGTERM and SIGINT. The
   * process then ends by itself.
   *
   * @defaultValue false
   */
  drainOnSignals?: boolean | readonly NodeJS.Signals[] | undefined;
  /**
   * Fills `carrier` with what the worker of a request is to know of the trace that its caller is in, such as a `traceparent`. It is
   * called in {@link WorkerServer.request} and {@link WorkerServer.stream} themselves, in the caller's async context. Strings go
   * to the worker as `context.trace`, the same with each attempt; other values do not. If it throws, that is logged and the
   * request goes without.
   */
  injectTrace?: ((carrier: Record<string, string>) => void) | undefined;
  /** Where log lines go. Without one nothing is logged. */
  logger?: WorkerServerLogger | undefined;
  /** Bounds on what a peer can cost. Those left out have their defaults. */
  limits?: WorkerServerLimits | undefined;
}

/** The options of {@link WorkerServer.addWebSocketEndpoint}. */
export interface WebSocketEndpointOptions {
  /**
   * Whether messages are compressed for peers that offer it, or how: the option of the same name of `WebSocketServer` in `ws`.
   * It costs some 0.3 MiB for each such connection.
   *
   * @defaultValue false
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
}

/** The options of {@link ConnectionHandler}. */
export interface ConnectionHandlerConfig {
  /** The token that each worker must send in its registration, or a list of which it must send one. Without it none is asked for. */
  authToken?: string | readonly string[] | undefined;
  /** How long a worker may be silent, in milliseconds: heartbeats are answered with the deadline of the next one. */
  heartbeatTimeoutMs: number;
  /** How often a worker is asked to send a heartbeat, in milliseconds. It is in the ack of its registration. */
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
 * const server = new WorkerServer({ port: 8080, authToken: process.env.WORKER_TOKEN, drainOnSignals: true });
 * await server.start();
 * const { text } = await server.request<{ text: string }>({ prompt: 'Hello' }, { model: 'llama-3-8b' });
 * ```
 */
export declare class WorkerServer {
  /**
   * Does no I/O: nothing listens until {@link WorkerServer.start}.
   *
   * @throws A `TypeError` that names the option if one is missing or of the wrong kind. What is taken can be started.
   */
  constructor(options: WorkerServerOptions);

  /** The configured port; once started, the one that is bound. */
  get port(): number;

  /** How far the server is: new requests are taken while it is `'running'`. */
  get state(): 'stopped' | 'starting' | 'running' | 'draining' | 'stopping';

  /**
   * Listens on {@link WorkerServerOptions.host}, or on all interfaces, IPv4 and IPv6. Resolves when the port is bound. After a
   * failure, and after {@link WorkerServer.stop}, it can be called again.
   *
   * The handlers see the async context of this call (an `AsyncLocalStorage` has the store that it has here), not that of their subscription.
   * Each event has a context of its own: what a handler puts into a store with `enterWith` is seen by the other handlers of that
   * event and by what follows from it, but by no other event, HTTP request or endpoint.
   *
   * @throws An `Error` with `code` (for example `'EADDRINUSE'`), `syscall: 'listen'`, `address` and, if it isn't 0, `port` if the
   * port can't be bound.
   * @throws An `Error` with `code` (for example `'ENOTFOUND'`) and `syscall: 'getaddrinfo'` if the host is a name that isn't found.
   * @throws An `Error` `WorkerServer is already running` if the server is running.
   */
  start(): Promise<void>;

  /**
   * Rejects every request with `SERVER_STOPPING`, then closes every worker with 1001 `Server shutting down`, without
   * calling the disconnected handlers, then the endpoints and the HTTP server. Resolves within
   * {@link WorkerServerLimits.stopGraceMs}, whatever the peers do; at once if the server isn't running. Endpoints are
   * forgotten, event handlers and HTTP handlers are kept.
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
   * Calls `handler` for each message with this `type`. The types `worker_registration` and `heartbeat` are the server's
   * own, and so are those of docs/PROTOCOL.md if they come from a worker that registered with the feature `request`.
   *
   * @typeParam T The shape of the message. It is not checked.
   * @returns A function that removes the handler again. Calling it twice is harmless.
   */
  onWorkerMessage<T = Record<string, unknown>>(type: string, handler: WorkerMessageHandler<T>): () => void;

  /**
   * Calls `handler` for each worker that begins or ceases to drain (`'status'`), or can do something else than before
   * (`'capabilities'`).
   *
   * @returns A function that removes the handler again. Calling it twice is harmless.
   */
  onWorkerUpdated(handler: WorkerUpdatedHandler): () => void;

  /**
   * Gives a piece of work to one worker: waits for a free slot if need be, sends it, and resolves with the answer. The slot is
   * taken and freed by itself.
   *
   * @typeParam R The shape of the answer. It is not checked.
   * @param payload Anything that JSON can hold. It is serialised at once.
   * @returns Rejects with a {@link WorkerRequestError}, with the reason of an aborted `signal`, or with a `TypeError` that names a
   * wrong option. It never throws.
   */
  request<R = unknown>(payload: unknown, options?: RequestOptions): Promise<R>;

  /**
   * The same for an answer that comes in chunks.
   *
   * @typeParam C The shape of a chunk. It is not checked.
   * @typeParam R The shape of the final value. It is not checked.
   */
  stream<C = unknown, R = unknown>(payload: unknown, options?: RequestOptions): RequestStream<C, R>;

  /** What waits for a free slot. */
  getQueueInfo(): QueueInfo;

  /**
   * What the server has counted since it was constructed, over all its starts, and its state at the moment, as Prometheus text
   * (format 0.0.4). It may be called before the start and after the stop too. docs/OBSERVABILITY.md has every metric.
   */
  metrics(): string;

  /**
   * Why each worker takes a request with these options right now, or does not.
   *
   * @throws A `TypeError` that names a wrong option.
   */
  explain(
    options?: Pick<RequestOptions, 'model' | 'modelMatch' | 'category' | 'workerId' | 'where'> | undefined,
  ): Explanation;

  /**
   * The nodes of this server's fleet as it knows them, by their ids, itself included; `null` without the option `cluster`, and while it
   * does not run.
   */
  getClusterInfo(): ClusterInfo | null;

  /**
   * Has a worker drain (it gets nothing new and finishes what it has), or takes that back. It drains as well as long as it says so
   * itself.
   *
   * @returns False if the worker is unknown.
   * @throws A `TypeError` if `workerId` is no string, or `status` another one.
   */
  setWorkerStatus(workerId: string, status: 'available' | 'draining'): boolean;

  /**
   * Closes a worker's connection. From the call on it gets nothing; it leaves with its disconnected event like any other, and is
   * not waited for to resume.
   *
   * @param options.code 1000, or 3000 to 4999. 1000 by default: a worker of this package does not come back then.
   * @param options.reason At most 123 bytes. None by default.
   * @returns False if the worker is unknown.
   * @throws A `TypeError` that names a wrong argument or option.
   */
  disconnectWorker(
    workerId: string,
    options?: { code?: number | undefined; reason?: string | undefined } | undefined,
  ): boolean;

  /**
   * Sets {@link WorkerServerOptions.authToken} anew. It counts for registrations from now on, also after a restart; connected
   * workers stay.
   *
   * @param token A token, or a list of which a worker must send one; with an empty list nobody is let in. `null`: none is asked for.
   * @throws A `TypeError` that shows nothing of `token` if it is something else, `undefined` included.
   */
  setAuthToken(token: string | readonly string[] | null): void;

  /**
   * Whence the connection of a worker came. The headers may hold secrets, such as the token.
   *
   * @returns `null` if the worker is unknown.
   * @throws A `TypeError` if `workerId` is no string.
   */
  getConnectionInfo(workerId: string): ConnectionInfo | null;

  /**
   * Leaves in peace: new requests are rejected with `SERVER_STOPPING`, workers are notified and no new ones let in, and what is under
   * way goes on. Resolves when no request is, and no id is tracked, or when the time is up, with what remains. Call
   * {@link WorkerServer.stop} then. A second call joins the first, with a time of its own.
   *
   * @param options.timeoutMs 25,000 by default; 0: at once, Infinity: without end.
   * @param options.signal Rejects this call with its reason; draining goes on.
   */
  drain(options?: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } | undefined): Promise<{
    /** Whether nothing is under way any more. */
    drained: boolean;
    /** How many requests and tracked ids are still under way. */
    remaining: number;
  }>;

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
   * ends with {@link WorkerServer.releaseRequest} or in the pending ids of the worker's disconnected event. It is for requests
   * that the application sends itself: with an id of {@link WorkerServer.request} it only warns.
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
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean | undefined }): void;

  /**
   * Replaces {@link WorkerServerOptions.tls} as a whole, such as by a renewed certificate: handshakes from now on go by it, and resume no
   * session of before. Connections whose handshake is done stay. May be called in every state.
   *
   * @throws A `TypeError` as the constructor does; then nothing has changed.
   * @throws An `Error` if the server was made without `tls`.
   */
  setSecureContext(tls: TlsOptions): void;

  /**
   * Adds an HTTP handler, before or after {@link WorkerServer.start}. Handlers are asked in order until one returns true, or a
   * promise of it. If none does, the answer is 404 with `{"error":"Not found"}`, or 500 with `{"error":"Internal server error"}`
   * if one of them threw.
   */
  addHttpHandler(handler: HttpRequestHandler): void;

  /**
   * Adds a WebSocket endpoint, before or after {@link WorkerServer.start}. The same path again replaces the handler. An
   * upgrade to any path that isn't an endpoint's is a worker's connection.
   *
   * @param path The path of the URL, for example `/ws/dashboard`. A query string in the request doesn't matter.
   */
  addWebSocketEndpoint(path: string, handler: WebSocketConnectionHandler, options?: WebSocketEndpointOptions): void;
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

  /** Removes a worker and returns the object that was added, or `undefined` if the id is unknown. */
  remove(workerId: string): ConnectedWorker | undefined;

  /** The object that was added, or `undefined` if the id is unknown. */
  get(workerId: string): ConnectedWorker | undefined;

  /** Whether a worker with this id is in the pool. */
  has(workerId: string): boolean;

  /** The workers, in order of addition. */
  values(): IterableIterator<ConnectedWorker>;

  /** See {@link WorkerServer.getAvailableWorker}. Returns the object that was added. */
  getAvailableWorker(model: string, category?: string): ConnectedWorker | null;

  /** See {@link WorkerServer.getAnyAvailableWorker}. Returns the object that was added. */
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
  releaseRequest(requestId: string, options?: { incrementCompleted?: boolean | undefined }): void;

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
