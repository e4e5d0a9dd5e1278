import type { WorkerInfo } from '../../index.js';

/** What a {@link WorkerSelector} compares with. */
export type Scalar = string | number | boolean;

/**
 * What `capabilities.metadata` of a worker must be like, key by key, compared with `===`: a value, one of a list, or all
 * members of an object, whose bounds hold for numbers only. A key that the worker lacks matches only an object whose sole
 * member is `not`. `{}` matches every worker, an empty list none.
 */
export type WorkerSelector = Record<
  string,
  | Scalar
  | readonly Scalar[]
  | {
      /** A number above this one. */
      gt?: number | undefined;
      /** A number from this one on. */
      gte?: number | undefined;
      /** A number below this one. */
      lt?: number | undefined;
      /** A number up to this one. */
      lte?: number | undefined;
      /** Anything but this; a missing key too, if this is the only member. */
      not?: Scalar | undefined;
    }
>;

/** How a request is placed, waited for and ended. Durations are in milliseconds; each may be Infinity. */
export interface RequestOptions {
  /** The model that the worker must serve. Without one any worker will do. */
  model?: string | undefined;
  /** A category that counts for the worker's `concurrencyLimits`. */
  category?: string | undefined;
  /**
   * Whether a worker's model may also contain the name, or be contained in it (`loose`).
   *
   * @defaultValue The server's `modelMatch`.
   */
  modelMatch?: 'loose' | 'exact' | undefined;
  /** The worker with this id and no other. */
  workerId?: string | undefined;
  /** What the worker's metadata must be like. */
  where?: WorkerSelector | undefined;
  /** Requests with the same key go to the same worker, as long as that is not much busier than the others. */
  affinity?: string | undefined;
  /**
   * The class in which the request waits. A higher class is always served first.
   *
   * @defaultValue `'medium'`
   */
  priority?: 'high' | 'medium' | 'low' | undefined;
  /**
   * Keys of the same class are served in turn, so that one with many requests keeps none of the others waiting. Requests
   * without one take turns as one more key.
   */
  fairKey?: string | undefined;
  /**
   * The id, 1 to 256 UTF-16 units. It must not be under way already.
   *
   * @defaultValue A UUID, version 4.
   */
  requestId?: string | undefined;
  /** Aborting it ends the request with the signal's reason, wherever the request is. */
  signal?: AbortSignal | undefined;
  /**
   * How long the whole request may take, waiting and further attempts included. Above 0.
   *
   * @defaultValue 600000
   */
  timeoutMs?: number | undefined;
  /**
   * How long to wait for a free slot; 0: not at all.
   *
   * @defaultValue The server's `queue.timeoutMs`.
   */
  queueTimeoutMs?: number | undefined;
  /**
   * How long the worker may say nothing about the request, once it was sent. 0: as long as it likes.
   *
   * @defaultValue 0
   */
  idleTimeoutMs?: number | undefined;
  /**
   * How often the request may be given to a worker, where it failed without a chunk: a whole number from 1, or Infinity.
   *
   * @defaultValue 1: at most once.
   */
  maxAttempts?: number | undefined;
  /**
   * Called once, if the request has to wait: its place among those that wait for the same model in its class or a higher
   * one, itself included, and how many wait in all.
   */
  onQueued?: ((place: { position: number; size: number }) => void) | undefined;
  /** Called each time the request is sent, with the worker and the number of the sending. */
  onStarted?: ((worker: WorkerInfo, attempt: number) => void) | undefined;
  /** Called with what the worker reports of its progress. */
  onProgress?: ((data: unknown) => void) | undefined;
}

/**
 * The answer to a request, chunk by chunk. There is one iterator; leaving its loop cancels the request. What had come before an
 * error is read before that is thrown, except after an abort, `cancel()`, `TIMEOUT` and `STREAM_OVERFLOW`.
 *
 * @typeParam C The shape of a chunk.
 * @typeParam R The shape of the final value.
 */
export interface RequestStream<C = unknown, R = unknown> extends AsyncIterableIterator<C> {
  /** The id of the request. */
  readonly requestId: string;
  /** The worker that has it; null while it waits, pauses, or its worker is away. After the end the last one that had it. */
  readonly worker: WorkerInfo | null;
  /** The final value, as soon as the worker has sent it. Its rejection is never an unhandled one. */
  readonly result: Promise<R>;
  /** Ends the request: `result` and the next read reject with `reason`, by default an `AbortError`. */
  cancel(reason?: unknown): void;
}

/** Why a request ended without a result. docs/REQUESTS.md says what to do about each. */
export type WorkerRequestErrorCode =
  | 'TIMEOUT'
  | 'QUEUE_TIMEOUT'
  | 'QUEUE_FULL'
  | 'NO_WORKER'
  | 'WORKER_LOST'
  | 'WORKER_ERROR'
  | 'STREAM_OVERFLOW'
  | 'DUPLICATE_ID'
  | 'SERVER_STOPPING';

/** What a request is rejected with, unless it was aborted (then it is the signal's reason) or its options were wrong. */
export declare class WorkerRequestError extends Error {
  private constructor();
  /** Always this. */
  readonly name: 'WorkerRequestError';
  /** What happened. */
  readonly code: WorkerRequestErrorCode;
  /** The id of the request. */
  readonly requestId: string;
  /** How often it was given to a worker that did not reject it. */
  readonly attempts: number;
  /** The id of the last worker that it was sent to. */
  readonly workerId?: string;
  /** Whether it may have run. False: it surely did not. */
  readonly started: boolean;
  /** With `WORKER_ERROR`, what the worker said: its `error`, whole. */
  readonly data?: unknown;
  /** With `QUEUE_FULL` and `NO_WORKER`, a guess at when to try again, in whole milliseconds above 0. */
  readonly retryAfterMs?: number;
}

/** The server's option `queue`: how many requests may wait for a free slot, and for how long. */
export interface QueueOptions {
  /**
   * How many requests may wait: a whole number, or Infinity. 0: none.
   *
   * @defaultValue 1000
   */
  maxSize?: number | undefined;
  /**
   * How many bytes their payloads may have together.
   *
   * @defaultValue 67108864
   */
  maxBytes?: number | undefined;
  /**
   * How long a request waits that does not say, in ms.
   *
   * @defaultValue 30000
   */
  timeoutMs?: number | undefined;
  /**
   * How many requests of one `fairKey` may wait.
   *
   * @defaultValue `maxSize`
   */
  maxPerKey?: number | undefined;
  /**
   * Whether a request that no registered worker could ever take waits (for one that comes back after an update, say), or
   * is rejected with `NO_WORKER` at once.
   *
   * @defaultValue `'wait'`
   */
  whenNoWorker?: 'wait' | 'fail' | undefined;
}

/**
 * How workers speak that were written before there were requests: the type of each message. `request` is sent with the
 * payload's own members beside `requestId`; a message of the other types with that `requestId` is, whole, the result, an
 * error or a chunk.
 */
export interface RequestTypes {
  /** Sent to a worker. */
  request: string;
  /** The end, with the result. */
  result: string | readonly string[];
  /** The end, with an error: its `message` or `error` is the text. */
  error?: string | readonly string[] | undefined;
  /** A chunk of a stream. */
  chunk?: string | readonly string[] | undefined;
  /** Sent to a worker that should let go of a request. Without it a slot is held until the answer, or the session's end. */
  cancel?: string | undefined;
}

/** What waits for a free slot. */
export interface QueueInfo {
  /** How many requests. */
  size: number;
  /** The bytes of their payloads. */
  bytes: number;
  /** How long the oldest has waited, in ms; 0 if none waits. */
  oldestMs: number;
  /** How many requests, by the model that they asked for; those without one under `'*'`. It has no prototype. */
  byModel: Record<string, number>;
}

/** Why a worker does not take a request right now; `free`: it does. The first that holds. */
export type ExplanationReason =
  | 'closing'
  | 'other-worker'
  | 'no-requests'
  | 'model'
  | 'selector'
  | 'unhealthy'
  | 'draining'
  | 'busy'
  | 'category'
  | 'free';

/** What each worker would do with a request. */
export interface Explanation {
  /** One line for people: `3 worker(s): 2 free, 1 does not serve "m"`. */
  text: string;
  /** All workers, in the order of their registration; behind them those of the other nodes of the fleet. */
  workers: {
    /** The worker's id. */
    id: string;
    /** Whether it would take the request now. */
    takes: boolean;
    /** Why, or why not. */
    reason: ExplanationReason;
    /** The id of its node, where the server has the option `cluster`. */
    node?: string;
  }[];
}
