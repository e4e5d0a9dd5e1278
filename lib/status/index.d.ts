import type { IncomingMessage } from 'http';
import type { ClusterNodeInfo, HttpRequestHandler, QueueInfo, WorkerServer, WorkerStatus } from '../../index.js';

export type { ClusterNodeInfo, HttpRequestHandler, QueueInfo } from '../../index.js';

/** The options of {@link statusPage}. A wrong one is a `TypeError` that names it, without its value. */
export interface StatusPageOptions {
  /**
   * Where the page is. Its data is at `<path>.json`, its stream at `<path>/events`.
   *
   * @defaultValue `'/status'`
   */
  path?: string | undefined;
  /**
   * Decides who gets in: with `true`, and nothing else. A no, and a throw, which is logged, is answered with 401 and
   * `WWW-Authenticate: Basic`. Without it only this machine gets in: a loopback peer that sends no `X-Forwarded-For`
   * and names a loopback `Host`; others are answered with 403.
   */
  authenticate?: ((req: IncomingMessage) => boolean | Promise<boolean>) | undefined;
  /**
   * Whether the page can drain, resume and disconnect workers. It needs `authenticate`.
   *
   * @defaultValue false
   */
  actions?: boolean | undefined;
}

/** What `<path>.json` holds. Times are ISO strings, ages and durations milliseconds. */
export interface StatusPageData {
  /** How far the server is. */
  state: WorkerServer['state'];
  /** The package's version. */
  version: string;
  /** How long the server has been running. */
  uptimeMs: number;
  /** The registered workers, in the order of their registration. */
  workers: {
    /** Its id. */
    id: string;
    /** Its name, for people. */
    name: string;
    /** Where it connects from; `null` if that isn't known. */
    address: string | null;
    /** Its status. */
    status: `${WorkerStatus}`;
    /** How many requests it has. */
    active: number;
    /** How many it may have at once. */
    slots: number;
    /** By category, the same; `limit` is `null` for a category without a limit of its own. */
    categories: Record<
      string,
      {
        /** How many of its requests are of this category. */
        active: number;
        /** How many may be at once. */
        limit: number | null;
      }
    >;
    /** The ids of its models. */
    models: readonly string[];
    /** How long ago it was last heard of, in milliseconds. */
    heartbeatAgeMs: number;
    /** When it registered. */
    connectedAt: string;
  }[];
  /** What waits for a free slot. */
  queue: QueueInfo;
  /** The oldest 1,000 requests of `request()` and `stream()` that are under way, the oldest first. */
  requests: {
    /** Its id. */
    requestId: string;
    /** `null` if it asked for none. */
    model: string | null;
    /** The worker that it is on; `null` while it waits. */
    workerId: string | null;
    /** How many times it was sent to a worker that did not reject it. */
    attempt: number;
    /** How long ago it was asked for. */
    ageMs: number;
    /** Whether a worker has it. */
    state: 'waiting' | 'running';
  }[];
  /** Intervals of 5 s in the last 10 minutes, the oldest first; the last one isn't over. */
  history: {
    /** When it began. */
    at: string;
    /** How many requests ended with a result. */
    completed: number;
    /**
     * How many ended with a `WorkerRequestError`, or because a signal's time was up. Those that were aborted otherwise
     * don't count.
     */
    failed: number;
    /**
     * How long those that completed took, from the call on: half of them at most that long; `null` if there were none.
     */
    p50Ms: number | null;
    /** The same of 95 in 100. */
    p95Ms: number | null;
  }[];
  /** The last hundred workers that left with requests, or otherwise than by 1000 and 1001; the last one last. */
  losses: {
    /** When it left. */
    at: string;
    /** Its id. */
    workerId: string;
    /** Its name, for people. */
    workerName: string;
    /** The close code. */
    code: number;
    /** The close reason. */
    reason: string;
    /** How many requests it had. */
    requests: number;
  }[];
  /** The nodes of the cluster, or `null` without one. */
  nodes: ClusterNodeInfo[] | null;
}

/**
 * An HTTP handler for {@link WorkerServer.addHttpHandler} that shows what a server does, on one page that keeps itself
 * up to date. It shows no payloads, results, session ids, tokens or metadata. Other requests are left to the next
 * handler.
 *
 * What the page shows of requests and lost workers is kept from this call on.
 *
 * @example
 * ```ts
 * const server = new WorkerServer({ port: 8080, authToken: process.env.WORKER_TOKEN });
 * server.addHttpHandler(statusPage(server));
 * await server.start(); // http://localhost:8080/status, from this machine
 * ```
 * @throws A `TypeError` that names what is wrong.
 */
export declare function statusPage(server: WorkerServer, options?: StatusPageOptions | undefined): HttpRequestHandler;
