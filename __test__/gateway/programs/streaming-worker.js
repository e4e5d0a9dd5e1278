'use strict';

// A worker that streams what it is asked for: `streaming-worker.js URL ID SLOTS [STUCK_AT]`. At that token it goes no
// further.

const { setTimeout: sleep } = require('node:timers/promises');
const { Worker } = require('../../../lib/worker/index.js');

const [, , url, workerId, slots, stuckAt] = process.argv;

new Worker({
  url,
  workerId,
  capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: Number(slots) },
  async *handler({ body }) {
    await sleep(Math.random() * 200);
    for (let i = 0; i < body.tokens; i += 1) {
      if (i === Number(stuckAt)) await new Promise(() => {});
      yield { user: body.user, i, workerId };
      await sleep(Math.random() * 10);
    }
  },
}).run();
