'use strict';

// Stops while a peer of each kind is there that answers nothing: an unregistered socket, a worker, an endpoint socket, a
// half-open request, one that is never answered, a kept-alive connection. Those peers live in another process.

const { WorkerServer } = require('../../support/package');

(async () => {
  const server = new WorkerServer({ port: 0, limits: { stopGraceMs: 200 } });
  const expected = { unregistered: 1, worker: 1, endpoint: 1, request: 2 };
  const seen = { unregistered: 0, worker: 0, endpoint: 0, request: 0 };
  const see = async (what) => {
    seen[what] += 1;
    if (Object.keys(expected).some((key) => seen[key] !== expected[key])) return;
    await server.stop();
    console.log('stopped');
  };
  server.onWorkerConnected(() => see('worker'));
  server.onWorkerMessage('hello', () => see('unregistered'));
  server.addWebSocketEndpoint('/endpoint', () => see('endpoint'));
  server.addHttpHandler(async (req, res) => {
    if (req.url === '/kept') {
      res.end('kept');
      return true;
    }
    req.resume();
    see('request');
    return new Promise(() => {});
  });
  await server.start();
  console.log(`port ${server.port}`);
})();
