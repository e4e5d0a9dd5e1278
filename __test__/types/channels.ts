// The part of a user's program that watches servers: the messages of `node:diagnostics_channel`. Compiled beside program.ts,
// never run.

import { subscribe, tracingChannel } from 'node:diagnostics_channel';
import { WorkerRequestError } from '@hardlydifficult/worker-server';
import type {
  HandlerErrorMessage,
  RequestTraceContext,
  WorkerConnectedMessage,
  WorkerDisconnectedMessage,
  WorkerInfo,
  WorkerServer,
  WorkerUpdatedMessage,
} from '@hardlydifficult/worker-server';

/** Holds for two types that are the same, readonly and optional included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

holds<Same<WorkerConnectedMessage, { server: WorkerServer; worker: WorkerInfo }>>();
holds<Same<WorkerDisconnectedMessage['pendingRequestIds'], Set<string>>>();
holds<Same<WorkerUpdatedMessage['change'], 'status' | 'capabilities'>>();
holds<Same<HandlerErrorMessage['worker'], WorkerInfo | undefined>>();
holds<Same<RequestTraceContext['requestId'], string | undefined>>();

subscribe('worker-server:worker.connected', (message) => {
  const { server, worker } = message as WorkerConnectedMessage;
  server.send(worker.id, { type: 'hello' });
});

subscribe('worker-server:worker.disconnected', (message) => {
  const { server, worker, code, reason, pendingRequestIds } = message as WorkerDisconnectedMessage;
  const line: string = `${worker.name} of ${server.port} left: ${code} ${reason}`;
  for (const id of pendingRequestIds) line.concat(id.toUpperCase());
});

subscribe('worker-server:worker.updated', (message) => {
  const { server, worker, change } = message as WorkerUpdatedMessage;
  if (change === 'status') server.disconnectWorker(worker.id);
});

subscribe('worker-server:error', (message) => {
  const { server, error, where, worker } = message as HandlerErrorMessage;
  if (error instanceof Error && where === 'message handler') server.disconnectWorker(worker?.id ?? '');
  // @ts-expect-error What threw is one of a few things.
  if (where === 'something else') server.getQueueInfo();
});

tracingChannel<RequestTraceContext>('worker-server:request').subscribe({
  start(message) {
    const { server, requestId, model, category, stream }: RequestTraceContext = message;
    if (stream) server.explain({ model: model ?? 'any', category: category ?? requestId });
  },
  end() {},
  asyncStart() {},
  asyncEnd({ attempts, workerId, result, error }) {
    const ended: [number, string | undefined, unknown] = [attempts, workerId, result];
    if (error instanceof WorkerRequestError) ended.push(error.attempts);
  },
  error() {},
});
