// What programs in TypeScript may write, and what the compiler must find wrong. Compiled, never run.

import { Worker, WorkerRejectedError } from '@hardlydifficult/worker-server/worker';
import type {
  RequestContext,
  RequestHandler,
  WorkerCapabilities,
  WorkerOptions,
  WorkerState,
} from '@hardlydifficult/worker-server/worker';

const capabilities: WorkerCapabilities = {
  models: [{ modelId: 'm', displayName: 'M', maxContextTokens: 1, maxOutputTokens: 1, supportsStreaming: true }],
  maxConcurrentRequests: 2,
};

const plain: RequestHandler<{ n: number }> = ({ n }, context: RequestContext) => n * context.attempt;
const later: RequestHandler<string, never, number> = async (text) => text.length;
const stream: RequestHandler<string, string> = async function* words(text, { signal, progress, remainingMs }) {
  progress({ left: remainingMs() });
  for (const word of text.split(' ')) if (!signal.aborted) yield word;
  return 'end';
};

const options: WorkerOptions = {
  url: new URL('wss://host'),
  authToken: async () => 'token',
  capabilities: () => capabilities,
  headers: { 'X-Site': 'attic', 'X-More': ['a', 'b'] },
  tls: { ca: 'pem' },
  proxy: false,
  reconnect: { initialDelayMs: 1, maxDelayMs: 2, maxAttempts: Infinity },
  drainTimeoutMs: 5,
  handleSignals: ['SIGTERM'],
  isolate: false,
  handler: stream,
};
// What is left out may be undefined, as what comes from the environment is.
const leftOut: WorkerOptions = {
  url: 'ws://host',
  workerId: process.env['ID'],
  workerName: undefined,
  authToken: process.env['TOKEN'],
  headers: undefined,
  tls: undefined,
  proxy: undefined,
  capabilities,
  handler: plain,
  reconnect: { initialDelayMs: undefined, maxDelayMs: undefined, maxAttempts: undefined },
  drainTimeoutMs: undefined,
  handleSignals: undefined,
  isolate: undefined,
  logger: undefined,
};
new Worker({ ...leftOut, reconnect: undefined });
const worker = new Worker(options);
for (const handler of [plain, later, stream]) new Worker({ url: 'ws://host', capabilities, handler });

worker.on('state', (state, { attempt, delayMs, error }) => {
  const known: WorkerState = state;
  console.log(known, attempt, delayMs, error?.message);
});
const remove: () => void = worker.onMessage<{ type: 'task'; n: number }>('task', ({ n }) => console.log(n));
remove();
const sent: boolean = worker.send({ type: 'done' });
console.log(sent);

export async function main(): Promise<void> {
  await worker.update(capabilities);
  try {
    await worker.run();
  } catch (error) {
    if (error instanceof WorkerRejectedError) console.log(error.code.toFixed(), error.reason);
  }
  await worker.drain();
  await worker.close();
}

// @ts-expect-error the URL is missing
new Worker({ capabilities, handler: plain });
// @ts-expect-error no such option
new Worker({ url: 'ws://host', capabilities, handler: plain, autoToken: 'x' });
// @ts-expect-error the state can only be read
worker.state = 'idle';
// @ts-expect-error no such signal
new Worker({ url: 'ws://host', capabilities, handler: plain, handleSignals: ['SIGNOTHING'] });
