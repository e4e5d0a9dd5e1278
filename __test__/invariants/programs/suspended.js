'use strict';

// A server with short time limits, which reports who came and went and what was complained of.

const { WorkerServer } = require('../../support/package');

const TIMEOUT_MS = Number(process.argv[2]);
const WARNINGS = [];
const ENDS = [];

const ignore = () => {};
const server = new WorkerServer({
  port: 0,
  heartbeatTimeoutMs: TIMEOUT_MS,
  healthCheckIntervalMs: 20,
  pingIntervalMs: 100,
  limits: { registrationTimeoutMs: TIMEOUT_MS, headTimeoutMs: TIMEOUT_MS, stallTimeoutMs: TIMEOUT_MS },
  logger: { debug: ignore, info: ignore, warn: (message, context) => WARNINGS.push([message, context]), error: ignore },
});
server.onWorkerDisconnected(({ id }) => ENDS.push(id));
server.onWorkerMessage('taken', ignore);
// More than the sockets' buffers hold.
server.onWorkerMessage('fill', ({ id }) => {
  for (let i = 0; i < 32; i += 1) server.send(id, { type: 'pad', pad: 'x'.repeat(1024 * 1024) });
});
server.onWorkerMessage('report', ({ id }) => {
  const workers = server.getWorkerInfo().map((worker) => [worker.id, worker.status]);
  server.send(id, { type: 'report', workers, warnings: WARNINGS, ends: ENDS });
});
server.start().then(() => console.log(`port ${server.port}`));
