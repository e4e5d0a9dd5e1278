// The part of a user's program that hands out work: requests, streams, the queue, draining. Compiled beside program.ts,
// never run.

import { WorkerRequestError, WorkerServer, WorkerStatus } from '@hardlydifficult/worker-server';
import type {
  ClusterAdapter,
  ClusterInfo,
  ClusterNodeInfo,
  ClusterOptions,
  Explanation,
  ExplanationReason,
  QueueInfo,
  QueueOptions,
  RequestOptions,
  RequestStream,
  RequestTypes,
  Scalar,
  WorkerInfo,
  WorkerRequestErrorCode,
  WorkerSelector,
  WorkerServerLimits,
  WorkerServerOptions,
  WorkerUpdatedHandler,
} from '@hardlydifficult/worker-server';

/** Holds for two types that are the same, readonly and optional included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

// The server's options --------------------------------------------------------------------------

const queue: QueueOptions = {
  maxSize: 100,
  maxBytes: Infinity,
  timeoutMs: 5_000,
  maxPerKey: 10,
  whenNoWorker: 'fail',
};
const requestTypes: RequestTypes = {
  request: 'work_request',
  result: ['work_complete', 'work_done'],
  error: 'work_failed',
  chunk: ['work_part'],
  cancel: 'work_cancel',
};
const limits: WorkerServerLimits = { cancelGraceMs: 1, resumeGraceMs: 0, maxStreamBytes: 1024 };
const options: WorkerServerOptions = {
  port: 0,
  queue,
  modelMatch: 'exact',
  requestTypes,
  drainOnSignals: ['SIGTERM', 'SIGUSR2'],
  injectTrace: (carrier) => {
    carrier['traceparent'] = '00';
  },
  limits,
};
const leftOut: WorkerServerOptions = {
  port: 0,
  queue: {
    maxSize: undefined,
    maxBytes: undefined,
    timeoutMs: undefined,
    maxPerKey: undefined,
    whenNoWorker: undefined,
  },
  modelMatch: undefined,
  requestTypes: undefined,
  drainOnSignals: undefined,
  injectTrace: undefined,
  limits: { cancelGraceMs: undefined, resumeGraceMs: undefined, maxStreamBytes: undefined },
};
const server = new WorkerServer(options);
new WorkerServer(leftOut);
new WorkerServer({ port: 0, queue: undefined, drainOnSignals: true, requestTypes: { request: 'a', result: 'b' } });
new WorkerServer({
  port: 0,
  requestTypes: { request: 'a', result: 'b', error: undefined, chunk: undefined, cancel: undefined },
});

// Requests --------------------------------------------------------------------------------------

const gpus = ['a100', 'h100'] as const;
const where: WorkerSelector = {
  gpu: gpus,
  region: 'eu',
  spot: false,
  memory: { gt: 1, gte: 40, lt: 100, lte: undefined },
  tier: { not: 'free' },
};
const scalar: Scalar = 1;
const everything: RequestOptions = {
  model: 'm',
  category: 'chat',
  modelMatch: 'loose',
  workerId: 'w',
  where: { ...where, size: scalar },
  affinity: 'conversation',
  priority: 'high',
  fairKey: 'tenant',
  requestId: 'r',
  signal: AbortSignal.timeout(1_000),
  timeoutMs: Infinity,
  queueTimeoutMs: 0,
  idleTimeoutMs: 5_000,
  maxAttempts: 3,
  onQueued: ({ position, size }) => console.log(position.toFixed(), size.toFixed()),
  onStarted: (worker: WorkerInfo, attempt: number) => console.log(worker.id, attempt),
  onProgress: (data: unknown) => console.log(data),
};
// What comes from a caller may be left out at run time.
const leftOutOfRequest: Record<keyof RequestOptions, undefined> = {
  model: undefined,
  category: undefined,
  modelMatch: undefined,
  workerId: undefined,
  where: undefined,
  affinity: undefined,
  priority: undefined,
  fairKey: undefined,
  requestId: undefined,
  signal: undefined,
  timeoutMs: undefined,
  queueTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  maxAttempts: undefined,
  onQueued: undefined,
  onStarted: undefined,
  onProgress: undefined,
};
const asyncCallbacks: RequestOptions = { onStarted: async (worker) => void (await Promise.resolve(worker.id)) };

interface Completion {
  text: string;
  tokens: number;
}

async function ask(signal?: AbortSignal): Promise<string> {
  const untyped: unknown = await server.request({ prompt: 'x' });
  const completion = await server.request<Completion>({ prompt: 'x' }, everything);
  const tokens: number = completion.tokens;
  await server.request('x', leftOutOfRequest);
  await server.request(null, asyncCallbacks);
  const inferred: Promise<Completion> = server.request(['x'], { signal });
  return [untyped, tokens, (await inferred).text].join();
}
holds<Same<ReturnType<typeof server.request>, Promise<unknown>>>();

// Streams ---------------------------------------------------------------------------------------

async function read(): Promise<number> {
  const stream: RequestStream<Completion, { tokens: number }> = server.stream({ prompt: 'x' }, { model: 'm' });
  for await (const chunk of stream) console.log(chunk.text, stream.requestId, stream.worker?.id ?? 'nobody');
  const { tokens } = await stream.result;

  const byHand = server.stream<string>('x');
  const first: IteratorResult<string> = await byHand.next();
  if (first.done !== true) console.log(first.value.toUpperCase());
  byHand.cancel();
  byHand.cancel(new Error('enough'));
  const plain: AsyncIterable<unknown> = server.stream('x');
  console.log(plain);
  return tokens;
}
holds<Same<ReturnType<typeof server.stream>, RequestStream<unknown, unknown>>>();

// Errors ----------------------------------------------------------------------------------------

/** Every code is known here: one more would not compile. */
function statusOf(code: WorkerRequestErrorCode): number {
  switch (code) {
    case 'QUEUE_FULL':
      return 429;
    case 'TIMEOUT':
    case 'QUEUE_TIMEOUT':
      return 504;
    case 'NO_WORKER':
    case 'SERVER_STOPPING':
      return 503;
    case 'WORKER_LOST':
    case 'WORKER_ERROR':
    case 'STREAM_OVERFLOW':
      return 502;
    case 'DUPLICATE_ID':
      return 409;
  }
}

function onFailure(error: unknown): number {
  if (!(error instanceof WorkerRequestError)) throw error;
  const said: [string, string, number, boolean] = [error.message, error.requestId, error.attempts, error.started];
  const lastWorker: string | undefined = error.workerId;
  const data: unknown = error.data;
  const retryAfterMs: number | undefined = error.retryAfterMs;
  const name: 'WorkerRequestError' = error.name;
  console.log(said, lastWorker, data, retryAfterMs, name);
  return statusOf(error.code);
}

// Watching, workers that change, leaving --------------------------------------------------------

const updated: WorkerUpdatedHandler = (worker, change) => {
  if (change === 'status') console.log(worker.status === WorkerStatus.Draining);
};
const updatedLater: WorkerUpdatedHandler = async (worker, change: 'status' | 'capabilities') => {
  await Promise.resolve([worker.capabilities.models.length, change]);
};

function watch(): string {
  const unsubscribe: Array<() => void> = [server.onWorkerUpdated(updated), server.onWorkerUpdated(updatedLater)];
  for (const each of unsubscribe) each();
  const info: QueueInfo = server.getQueueInfo();
  const text: string = server.metrics();
  const waitingFor: number = info.byModel['m'] ?? 0;
  const explanation: Explanation = server.explain({ model: 'm', modelMatch: 'exact', category: undefined, where });
  server.explain();
  server.explain(undefined);
  const reasons: ExplanationReason[] = explanation.workers.map(({ id, takes, reason }) =>
    takes && id ? 'free' : reason,
  );
  return [info.size, info.bytes, info.oldestMs, waitingFor, explanation.text, reasons].join();
}

async function leave(signal?: AbortSignal): Promise<boolean> {
  const known: boolean = server.setWorkerStatus('w', 'draining') && server.setWorkerStatus('w', 'available');
  const closed: boolean = server.disconnectWorker('w') || server.disconnectWorker('w', { code: 4000, reason: 'moved' });
  server.disconnectWorker('w', { code: undefined, reason: undefined });
  const state: 'stopped' | 'starting' | 'running' | 'draining' | 'stopping' = server.state;
  await server.drain();
  const { drained, remaining } = await server.drain({ timeoutMs: 1_000, signal });
  return known && closed && drained && remaining === 0 && state === 'running';
}

export { ask, read, onFailure, watch, leave };

// Several servers ---------------------------------------------------------------------------------

const adapter: ClusterAdapter = {
  publish(channel: string, data: Uint8Array) {
    console.log(channel, data);
  },
  subscribe: async (_channel, onMessage) => {
    onMessage(new Uint8Array());
    return () => {};
  },
  close: async () => {},
};
const cluster: ClusterOptions = {
  adapter,
  name: 'fleet',
  nodeId: 'a',
  preferLocal: false,
  heartbeatMs: 1_000,
  timeoutMs: 5_000,
  secret: 'secret',
};
const clustered = new WorkerServer({ port: 0, cluster });
const fleet: ClusterInfo | null = clustered.getClusterInfo();
const nodes: ClusterNodeInfo[] = fleet?.nodes ?? [];
for (const { nodeId, self, workers, slots, busy, waiting, lastSeenMs } of nodes) {
  console.log(nodeId === fleet?.nodeId, self, workers, slots, busy, waiting, lastSeenMs);
}
const owner: string | undefined = clustered.explain().workers[0]?.node;
console.log(owner);
