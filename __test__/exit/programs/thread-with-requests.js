'use strict';

// A thread is terminated while HTTP connections are on their way to it: behind a message whose handler never returns.

const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { once } = require('events');
const { WorkerServer } = require('../../support/package');

async function serve() {
  const server = new WorkerServer({ port: 0 });
  server.addHttpHandler(async () => true);
  server.onWorkerMessage('hold', (worker, { n }) => {
    parentPort.postMessage(`held ${n}`);
    Atomics.wait(workerData, n, 0);
  });
  await server.start();
  parentPort.postMessage(server.port);
}

async function main() {
  const { openSocket } = require('../../support/socket');
  const { rawConnect } = require('../../support/raw');
  const holds = new Int32Array(new SharedArrayBuffer(12));
  const thread = new Worker(__filename, { workerData: holds });
  const [port] = await once(thread, 'message');
  const peer = await openSocket(port);
  const roundTrip = () => {
    const pong = once(peer.ws, 'pong');
    peer.ws.ping();
    return pong;
  };
  peer.send({ type: 'hold', n: 1 });
  await once(thread, 'message');
  peer.send({ type: 'hold', n: 2 });
  await roundTrip();
  const raws = await Promise.all(Array.from({ length: 5 }, () => rawConnect(port)));
  for (const raw of raws) raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  for (let i = 0; i < 20; i += 1) await roundTrip();
  const held = once(thread, 'message');
  Atomics.store(holds, 1, 1);
  Atomics.notify(holds, 1);
  await held;
  await thread.terminate();
  console.log('terminated');
  await Promise.all([peer.closed, ...raws.map((raw) => raw.end())]);
  for (const raw of raws) raw.socket.destroy();
  console.log('closed');
}

if (isMainThread) main();
else serve();
