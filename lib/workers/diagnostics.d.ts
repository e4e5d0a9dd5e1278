// What the server publishes on the channels of `node:diagnostics_channel`.

import type { WorkerInfo, WorkerServer } from '../../index.js';

/** A message of the channel `worker-server:worker.connected`, published before the connected handlers run. */
export interface WorkerConnectedMessage {
  /** The server that the worker registered with. */
  server: WorkerServer;
  /** The worker as it is now. */
  worker: WorkerInfo;
}

/**
 * A message of the channel `worker-server:worker.disconnected`, published before the disconnected handlers run, for each worker that
 * leaves while the server runs.
 */
export interface WorkerDisconnectedMessage {
  /** The server that the worker was registered with. */
  server: WorkerServer;
  /** The worker as it was at the end. */
  worker: WorkerInfo;
  /** The close code; 1006 for a connection that was lost without a close frame. */
  code: number;
  /** The reason in the close frame; an empty string for none. */
  reason: string;
  /** The ids that the program had tracked on it, a copy. {@link WorkerServer.request} deals with its own. */
  pendingRequestIds: Set<string>;
}

/** A message of the channel `worker-server:worker.updated`, published before the updated handlers run. */
export interface WorkerUpdatedMessage {
  /** The server that the worker is registered with. */
  server: WorkerServer;
  /** The worker as it is now. */
  worker: WorkerInfo;
  /** What has changed: whether it drains, or its capabilities. */
  change: 'status' | 'capabilities';
}

/** A message of the channel `worker-server:error`: something that the program gave the server has thrown, or rejected. */
export interface HandlerErrorMessage {
  /** The server that called it. */
  server: WorkerServer;
  /** What was thrown, itself: mostly an `Error` with its stack, but anything can be thrown. */
  error: unknown;
  /** What threw it. */
  where:
    | 'connected handler'
    | 'disconnected handler'
    | 'updated handler'
    | 'message handler'
    | 'request callback'
    | 'HTTP handler'
    | 'WebSocket endpoint handler'
    | 'injectTrace'
    | 'authenticate'
    | 'onConflict'
    | 'gateway options';
  /** The worker that it was called with, or about; not there if it was about none. */
  worker?: WorkerInfo;
}

/**
 * What `tracingChannel('worker-server:request')` publishes, one object for all events of a request. `start` and `end` are around the
 * call; `asyncStart` and `asyncEnd`, and `error` before them if it failed, come when the request has ended.
 */
export interface RequestTraceContext {
  /** The server that was asked. */
  server: WorkerServer;
  /** The request's id; `undefined` if its options were refused. */
  requestId: string | undefined;
  /** The model that was asked for; `undefined` for any. */
  model: string | undefined;
  /** The category; `undefined` for none. */
  category: string | undefined;
  /** Whether it is a call of {@link WorkerServer.stream}. */
  stream: boolean;
  /** How often it has been sent so far, without sendings that were refused or rejected. */
  attempts: number;
  /** The worker that has it, or had it last; `undefined` until it is sent. */
  workerId: string | undefined;
  /** The result; only there if the request has one. */
  result?: unknown;
  /** What the request failed with: mostly a {@link WorkerRequestError}; only there if it failed. */
  error?: unknown;
}
