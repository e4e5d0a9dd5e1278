// What is bundled: named imports, and a server with a worker that registers.

import WebSocket from 'ws';
import { WorkerPool, WorkerServer, WorkerStatus, safeCompare } from '@hardlydifficult/worker-server';

const server = new WorkerServer({ port: 0 });
const registered = new Promise((resolve) => server.onWorkerConnected(resolve));
server
  .start()
  .then(() => {
    const worker = new WebSocket(`ws://127.0.0.1:${server.port}`);
    worker.on('open', () =>
      worker.send(
        JSON.stringify({
          type: 'worker_registration',
          workerId: 'w',
          workerName: 'W',
          capabilities: { models: [], maxConcurrentRequests: 1 },
        }),
      ),
    );
    return registered;
  })
  .then((worker) => {
    console.log(
      JSON.stringify({
        id: worker.id,
        available: worker.status === WorkerStatus.Available,
        pool: new WorkerPool().getCount(),
        equal: safeCompare('a', 'a'),
      }),
    );
    return server.stop();
  });
