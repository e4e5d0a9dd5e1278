// The quickstart's worker: works on the texts that it is sent, with what is in text-work.mjs.
//
//   node examples/text-worker.mjs --id NAME --url ws://127.0.0.1:19100 [--model ID]... [--max N] [--limit CATEGORY=N]...
//
// The token is read from the environment (WORKER_TOKEN) and not from the command line, which every user of the machine
// sees. Ctrl-C drains: what runs comes to its end first. worker.mjs is a worker without this package, message by message.

import { parseArgs } from 'node:util';
import { Worker } from '@hardlydifficult/worker-server/worker';
import { analyse } from './text-work.mjs';

const { values: options } = parseArgs({
  options: {
    id: { type: 'string' },
    url: { type: 'string', default: 'ws://127.0.0.1:19100' },
    model: { type: 'string', multiple: true, default: ['prose-1'] },
    max: { type: 'string', default: '2' },
    limit: { type: 'string', multiple: true, default: [] },
  },
});
const limits = options.limit.map((limit) => limit.split('='));
let corpus = { documents: 1, occursIn: {} };

const worker = new Worker({
  url: options.url,
  workerId: options.id,
  authToken: process.env.WORKER_TOKEN,
  capabilities: {
    models: options.model.map((modelId) => ({ modelId })),
    maxConcurrentRequests: Number(options.max),
    concurrencyLimits: Object.fromEntries(limits.map(([category, limit]) => [category, Number(limit)])),
    // Anything you like: requests can choose by it (`where`).
    metadata: { pid: process.pid },
  },
  handler: ({ kind, text }) => analyse(text, kind, corpus),
});
// Not every message is a request: this one is for all workers.
worker.onMessage('corpus', (message) => {
  corpus = message.corpus;
});

// Only if another Node process started this one as its child: the worker ends when that process does.
process.once('disconnect', () => worker.close());
try {
  await worker.run();
} catch (error) {
  console.error(`[${worker.workerId}] ${error.message}`);
  process.exitCode = 1;
}
if (process.connected) process.disconnect();
