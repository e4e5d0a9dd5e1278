'use strict';

// The status that a server has for its only worker, and a worker that sends its own.

const statusOf = (server) => server.getWorkerInfo()[0].status;

async function sayStatus(worker, status, reason) {
  worker.send({ type: 'worker_status', status, reason });
  return worker.next('worker_status_ack');
}

module.exports = { sayStatus, statusOf };
