'use strict';

// Servers in worker threads that are terminated while workers are connected to them, beside one in the main thread.
// 'terminate': the main thread ends them. 'exit': they end themselves.

const { Worker, isMainThread, parentPort } = require('worker_threads');
const { once } = require('events');
const { WorkerServer } = require('../../support/package');

async function startServer() {
  const server = new WorkerServer({ port: 0, heartbeatTimeoutMs: 1000, healthCheckIntervalMs: 5 });
  server.onWorkerMessage('note', () => {});
  server.onWorkerMessage('end', () => process.exit(0));
  await server.start();
  return server;
}

async function main() {
  const { openWorker } = require('../../support/socket');
  const { cleanUp } = require('../../support/cleanup');
  const own = await startServer();
  for (let round = 0; round < 3; round += 1) {
    const threads = [0, 1].map(() => new Worker(__filename, { workerData: round }));
    const ports = await Promise.all(threads.map(async (thread) => (await once(thread, 'message'))[0]));
    const workers = await Promise.all(
      [...ports, own.port].flatMap((port, i) => [0, 1, 2].map((n) => openWorker(port, `${i}-${n}`))),
    );
    const flood = setInterval(() => {
      for (const worker of workers) worker.send({ type: 'note', text: 'x'.repeat(1000) });
    }, 1);
    const exits = threads.map((thread) => once(thread, 'exit'));
    if (process.argv[2] === 'exit') for (const i of [0, 3]) workers[i].send({ type: 'end' });
    else await Promise.all(threads.map((thread) => thread.terminate()));
    await Promise.all(exits);
    // All of their sockets go with them.
    await Promise.all(workers.slice(0, 6).map((worker) => worker.closed));
    clearInterval(flood);
    console.log('own', own.getWorkerCount());
    const gone = new Promise((resolve) => own.onWorkerDisconnected(() => own.getWorkerCount() === 0 && resolve()));
    await cleanUp();
    await gone;
  }
  await own.stop();
  console.log('stopped');
}

if (isMainThread) main();
else startServer().then((server) => parentPort.postMessage(server.port));
