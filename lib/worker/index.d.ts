import type { EventEmitter } from 'events';
import type { ConnectionOptions } from 'tls';
import type { WorkerCapabilities } from '../../index.js';

export type { ModelInfo, WorkerCapabilities } from '../../index.js';

/**
 * What a worker is doing.
 *
 * - `idle`: `run()` hasn't been called yet
 * - `connecting`: not registered, and trying, or waiting to try again
 * - `connected`: registered
 * - `draining`: takes nothing new, and closes when what runs has ended
 * - `closed`: `run()` has settled; it may be called again
 */
export type WorkerState = 'idle' | 'connecting' | 'connected' | 'draining' | 'closed';

/** What a `state` event says beside the state. */
export interface WorkerStateDetails {
  /** With `connecting`: which try it is since the worker was last registered, from 1. */
  attempt?: number;
  /** With `connecting`: how long it waits before it tries, in milliseconds. */
  delayMs?: number;
  /** With `connecting`: why the connection is gone or the last try failed. With `closed`: what `run()` rejects with. */
  error?: Error;
}

/** What a handler knows of a request, beside the payload. */
export interface RequestContext {
  /** The id that the caller gave, or the server. */
  readonly requestId: string;
  /** How many times this request has been sent to a worker, this time included. */
  readonly attempt: number;
  /** The model that the caller asked for. */
  readonly model?: string;
  /** The category that the caller named. */
  readonly category?: string;
  /**
   * Aborts when nobody wants the result any more, or soon won't. Its `reason` is an Error with a `code`: `ABORTED` (the
   * caller), `TIMEOUT`, `SUPERSEDED` (another attempt has begun), `STOPPING` (the server), `UNKNOWN` (to the server),
   * `DISCONNECTED` (the connection was lost and can't be resumed, or the worker has closed), `DRAIN_TIMEOUT` (a second
   * is left), `RESUME_OVERFLOW` (the connection was away for longer than a stream's chunks could be kept), or
   * `MESSAGE_TOO_BIG` (the server closed the connection with 1009 because of one of its chunks).
   */
  readonly signal: AbortSignal;
  /** What the caller's trace injector has put in, such as a `traceparent`. */
  readonly trace?: Readonly<Record<string, string>>;
  /** How much time is left for the request, in milliseconds, not below 0; Infinity if it has none. */
  remainingMs(): number;
  /**
   * Reports to the caller how far the work is. Not kept: without a connection it is lost.
   *
   * @throws What `JSON.stringify` throws.
   */
  progress(data: unknown): void;
}

/**
 * Works on a request. What it returns or resolves with is the result. An async generator (or another async iterable)
 * streams: each value that it yields is a chunk, and what it returns is the result.
 *
 * What it throws becomes the request's error: its `message`, its `code` if that is a string, its `retryable` if that is
 * a boolean, and its `data`; never its stack.
 *
 * @typeParam P The shape of the payload, which is not checked.
 * @typeParam C The shape of a chunk.
 * @typeParam R The shape of the result.
 */
export type RequestHandler<P = any, C = unknown, R = unknown> = (
  payload: P,
  context: RequestContext,
) => R | Promise<R> | AsyncIterable<C>;

/** How a worker tries again. */
export interface ReconnectOptions {
  /**
   * The longest wait before the second try, in milliseconds. It doubles with each failure; the wait itself is drawn
   * between 0 and that.
   *
   * @defaultValue 1000
   */
  initialDelayMs?: number | undefined;
  /**
   * The longest wait between two tries, in milliseconds.
   *
   * @defaultValue 30000
   */
  maxDelayMs?: number | undefined;
  /**
   * How many tries in a row may fail before `run()` rejects with the last error. With 0 a connection that is lost is
   * not replaced.
   *
   * @defaultValue Infinity
   */
  maxAttempts?: number | undefined;
}

/**
 * Where log lines go. No line ever holds a token, or the credentials or the query of a URL. One that throws disturbs
 * nothing.
 */
export interface WorkerLogger {
  /** What happens in normal operation. */
  debug(message: string, context?: Record<string, unknown>): void;
  /** Kept for completeness: the worker has no lines of this level. */
  info(message: string, context?: Record<string, unknown>): void;
  /** A connection that was lost or not established, a server that said something malformed. */
  warn(message: string, context?: Record<string, unknown>): void;
  /** A handler or a listener that threw. */
  error(message: string, context?: Record<string, unknown>): void;
}

/** The options of {@link Worker}. A wrong one is a `TypeError` that names it. */
export interface WorkerOptions {
  /** The server's address, `ws:` or `wss:`, without a fragment. */
  url: string | URL;
  /**
   * The id under which the worker registers. One that is connected already is taken over.
   *
   * @defaultValue host name, process id and four random characters, the same for the whole life of the process
   */
  workerId?: string | undefined;
  /**
   * A name for people.
   *
   * @defaultValue the id
   */
  workerName?: string | undefined;
  /**
   * The token, or a function that is asked for it before each connection. It goes into the registration, and as
   * `Authorization: Bearer` onto the upgrade unless {@link WorkerOptions.headers} has an `Authorization`. When the
   * server refuses a function's token, another one is tried, at most twice in a row.
   */
  authToken?: string | (() => string | Promise<string>) | undefined;
  /** Further headers of the upgrade. */
  headers?: Record<string, string | readonly string[]> | undefined;
  /** Options of `tls.connect` for a `wss:` URL, such as `ca`, `cert` and `key`. With `isolate` only plain data. */
  tls?: ConnectionOptions | undefined;
  /**
   * The HTTP proxy to tunnel through (CONNECT), such as `http://user:password@proxy:3128`; false for none. A host that
   * is this machine itself is never reached through a proxy.
   *
   * @defaultValue what `HTTPS_PROXY` (for `wss:`), `HTTP_PROXY` (for `ws:`), else `ALL_PROXY` says, but for the hosts
   *   in `NO_PROXY`
   */
  proxy?: string | false | undefined;
  /** What the worker offers, or a function that is asked for it before each connection. */
  capabilities: WorkerCapabilities | (() => WorkerCapabilities | Promise<WorkerCapabilities>);
  /**
   * Works on requests, on the thread that made the worker; at most `capabilities.maxConcurrentRequests` at the same
   * time.
   */
  handler: RequestHandler;
  /** How to try again. */
  reconnect?: ReconnectOptions | undefined;
  /**
   * How long requests that run may take to end when the worker drains, in milliseconds. Then their signals abort, and a
   * second later the connection is closed.
   *
   * @defaultValue 30000
   */
  drainTimeoutMs?: number | undefined;
  /**
   * The signals to listen to while `run()` runs. The first one drains, a second one closes. The process is left to end
   * by itself.
   *
   * @defaultValue ['SIGINT', 'SIGTERM']
   */
  handleSignals?: readonly NodeJS.Signals[] | undefined;
  /**
   * Whether the connection gets a thread of its own, so that a handler that computes for minutes misses no heartbeat.
   *
   * @defaultValue true
   */
  isolate?: boolean | undefined;
  /** Where log lines go. Without one nothing is logged. */
  logger?: WorkerLogger | undefined;
}

/**
 * A worker: connects to a `WorkerServer`, registers, sends heartbeats, works on what it is sent, and comes back when
 * the connection is lost.
 *
 * @example
 * ```ts
 * const worker = new Worker({
 *   url: 'wss://workers.example.com',
 *   authToken: process.env.WORKER_TOKEN,
 *   capabilities: { models: [{ modelId: 'upper', … }], maxConcurrentRequests: 4 },
 *   async *handler({ text }, { signal }) {
 *     for (const word of text.split(' ')) yield word.toUpperCase();
 *     return { words: text.split(' ').length };
 *   },
 * });
 * await worker.run();
 * ```
 */
export declare class Worker extends EventEmitter {
  /**
   * Does no I/O: nothing connects until {@link Worker.run}.
   *
   * @throws A `TypeError` that names the option if one is missing or of the wrong kind.
   */
  constructor(options: WorkerOptions);

  /** What the worker is doing. */
  get state(): WorkerState;

  /** The id under which it registers. */
  get workerId(): string;

  /**
   * Connects, and stays connected. Resolves when the worker has been drained or closed, or when the server has let it
   * go (close 1000). It keeps the process alive, and never ends it. Afterwards it may be called again.
   *
   * @throws A {@link WorkerRejectedError} when trying again can't help: close 4001 (the token), 4002 (the
   *   registration), 4003 `Replaced by new connection`.
   * @throws The last error when `reconnect.maxAttempts` tries in a row have failed.
   * @throws An `Error` `The worker is already running`.
   */
  run(): Promise<void>;

  /**
   * Sends a message of the application's own to the server.
   *
   * @returns False unless the worker is registered. Nothing is kept for later.
   * @throws What `JSON.stringify` throws.
   */
  send(message: unknown): boolean;

  /**
   * Calls `handler` with each message of one type from the server. A throw or a rejection is logged and touches nothing
   * else.
   *
   * @returns A function that removes the handler again.
   * @typeParam T The shape of the message, which is not checked.
   */
  onMessage<T = Record<string, unknown>>(type: string, handler: (message: T) => void): () => void;

  /**
   * Replaces the capabilities, in the session that is under way and in those that come. While the worker is not
   * connected, they count from the next registration.
   *
   * @throws An `Error` with the server's words, `Invalid update: <field>: …`. The old capabilities stay.
   */
  update(capabilities: WorkerCapabilities): Promise<void>;

  /**
   * Takes nothing new, lets what runs come to its end, and closes. Resolves when the worker is closed, at once if it
   * doesn't run.
   */
  drain(): Promise<void>;

  /** Closes at once; what runs is aborted. Resolves when the worker is closed. */
  close(): Promise<void>;

  /** Calls `listener` at each change of the state, and at each try while it is `connecting`. */
  on(event: 'state', listener: (state: WorkerState, details: WorkerStateDetails) => void): this;
  /** The same, once. */
  once(event: 'state', listener: (state: WorkerState, details: WorkerStateDetails) => void): this;
  /** Removes a listener. */
  off(event: 'state', listener: (state: WorkerState, details: WorkerStateDetails) => void): this;
}

/** The server has refused this worker, and would again: `run()` rejects with it. */
export declare class WorkerRejectedError extends Error {
  /** Always `'WorkerRejectedError'`. */
  readonly name: 'WorkerRejectedError';
  /** The close code: 4001, 4002 or 4003. */
  readonly code: number;
  /** The close reason. */
  readonly reason: string;
}
