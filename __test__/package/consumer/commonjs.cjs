// A program that depends on the installed package, as a CommonJS module: a server and a worker that does one job.

'use strict';

const { WebSocket } = require('ws');
const { WorkerPool, WorkerServer, WorkerStatus } = require('@hardlydifficult/worker-server');

async function main() {
  const server = new WorkerServer({ port: 0, authToken: 'secret' });
  const result = new Promise((resolve) => {
    server.onWorkerConnected((worker) => {
      server.trackRequest(worker.id, 'r1');
      server.send(worker.id, { type: 'job', requestId: 'r1' });
    });
    server.onWorkerMessage('result', (worker, message) => {
      server.releaseRequest(message.requestId, { incrementCompleted: true });
      resolve({ worker: worker.id, text: message.text, workers: server.getWorkerInfo() });
    });
  });
  server.addHttpHandler(async (req, res) => {
    res.end(`answered ${req.url}`);
    return true;
  });
  await server.start();

  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/worker`);
  socket.on('open', () => {
    const capabilities = { models: [{ modelId: 'm' }], maxConcurrentRequests: 1 };
    socket.send(
      JSON.stringify({
        type: 'worker_registration',
        workerId: 'w',
        workerName: 'W',
        capabilities,
        authToken: 'secret',
      }),
    );
  });
  socket.on('message', (data) => {
    const message = JSON.parse(String(data));
    if (message.type === 'job')
      socket.send(JSON.stringify({ type: 'result', requestId: message.requestId, text: 'done' }));
  });

  const { worker, text, workers } = await result;
  const response = await fetch(`http://127.0.0.1:${server.port}/health`);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  const http = await response.text();
  await server.stop();
  const available = workers[0].status === WorkerStatus.Available;
  const pool = new WorkerPool().getCount();
  console.log(
    JSON.stringify({
      worker,
      text,
      http,
      completed: workers[0].completedRequests,
      available,
      pool,
      closeCode: await closed,
    }),
  );
}

main();
