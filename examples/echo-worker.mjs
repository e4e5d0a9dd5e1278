// A worker in a dozen lines: echoes a text word by word to `server.stream()`, or says how many words there were to
// `server.request()`.
//
//   node examples/echo-worker.mjs [ws://localhost:8080]
//
// The token is read from the environment (WORKER_TOKEN). Ctrl-C drains: what runs comes to its end first.

import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from '@hardlydifficult/worker-server/worker';

const worker = new Worker({
  url: process.argv[2] ?? 'ws://localhost:8080',
  authToken: process.env.WORKER_TOKEN,
  capabilities: { models: [{ modelId: 'echo' }], maxConcurrentRequests: 4 },
  async *handler({ text }, { signal }) {
    const words = String(text).split(/\s+/);
    for (const word of words) {
      await wait(20, undefined, { signal });
      yield word;
    }
    return { words: words.length };
  },
});

worker.on('state', (state, { delayMs, error }) => {
  const why = error ? `: ${error.message}` : '';
  console.error(`${worker.workerId} is ${state}${delayMs ? `, again in ${Math.round(delayMs)} ms` : ''}${why}`);
});

await worker.run();
