'use strict';

// Prometheus text from what the public API says.

const { WorkerStatus } = require('../../../index.js');

function metricsHandler(server) {
  return (req, res) => {
    if (req.url.split('?', 1)[0] !== '/metrics') return false;
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET, HEAD' }).end();
      return true;
    }
    res.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' });
    res.end(req.method === 'HEAD' ? undefined : render(server));
    return true;
  };
}

function render(server) {
  const workers = Object.fromEntries(Object.values(WorkerStatus).map((status) => [status, 0]));
  for (const { status } of server.getWorkerInfo()) workers[status] += 1;
  const queue = server.getQueueInfo();
  return [
    '# HELP worker_server_workers Registered workers, by status.',
    '# TYPE worker_server_workers gauge',
    ...Object.entries(workers).map(([status, count]) => `worker_server_workers{status="${status}"} ${count}`),
    '# HELP worker_server_queue_size Requests that wait for a free slot.',
    '# TYPE worker_server_queue_size gauge',
    `worker_server_queue_size ${queue.size}`,
    '# HELP worker_server_queue_oldest_seconds How long the oldest of them has waited.',
    '# TYPE worker_server_queue_oldest_seconds gauge',
    `worker_server_queue_oldest_seconds ${queue.oldestMs / 1000}`,
    '',
  ].join('\n');
}

module.exports = { metricsHandler };
