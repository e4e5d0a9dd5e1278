'use strict';

// A worker in a process of its own: `node worker.js URL '{"isolate":true}'`. Prints its states, and `over` when run()
// has resolved. It never calls process.exit: that it ends is part of what is tested.

const { writeSync } = require('node:fs');
const { Worker } = require('../../../lib/worker/index.js');

const [url, options] = process.argv.slice(2);

/** Holds this thread. */
function block(ms) {
  const until = Date.now() + ms;
  while (Date.now() < until);
}

const worker = new Worker({
  url,
  workerId: 'w',
  capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 2 },
  async *handler({ blockMs, hang, chunks = [] }, { signal }) {
    yield* chunks;
    // Written before the thread is held.
    writeSync(1, 'handling\n');
    if (blockMs !== undefined) block(blockMs);
    if (hang === 'forever') await new Promise(() => {});
    if (hang === 'until aborted') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal.reason;
    }
    return 'done';
  },
  ...JSON.parse(options ?? '{}'),
});
worker.onMessage('block', ({ ms }) => {
  block(ms);
  worker.send({ type: 'blocked', ms });
});
worker.onMessage('close', () => worker.close());
worker.on('state', (state) => console.log(`state ${state}`));
worker.run().then(
  () => {
    const listening = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
    const addons = Object.keys(require.cache).filter((file) => file.endsWith('.node'));
    console.log(`over, ${listening} signal listeners, ${addons.length} addons`);
  },
  (error) => console.log(`rejected ${error.name}: ${error.message}`),
);
