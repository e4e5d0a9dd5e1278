'use strict';

const { statuses: STATUSES } = require('../native/abi.js');

/** The states of a worker, as they appear in `WorkerInfo.status`. */
const WorkerStatus = Object.freeze(
  Object.fromEntries(STATUSES.map((status) => [`${status[0].toUpperCase()}${status.slice(1)}`, status])),
);

/** On a worker of the server: what the application has said of it when it let it in. No worker that a caller makes has it. */
const AUTH = Symbol('auth');

/** The public view of a worker record: a plain object without its socket, sharing the record's collections. */
function toWorkerInfo(worker) {
  const info = {
    id: worker.id,
    name: worker.name,
    status: worker.status,
    capabilities: worker.capabilities,
    sessionId: worker.sessionId,
    connectedAt: worker.connectedAt,
    lastHeartbeat: worker.lastHeartbeat,
    activeRequests: worker.activeRequests,
    completedRequests: worker.completedRequests,
    pendingRequestIds: worker.pendingRequests,
    categoryActiveRequests: worker.categoryActiveRequests,
  };
  if (worker[AUTH] !== undefined) info.auth = worker[AUTH];
  return info;
}

/** What handlers get as the worker of a message that came from a socket which is not registered. */
function unknownWorkerInfo() {
  return {
    id: 'unknown',
    name: 'unknown',
    status: WorkerStatus.Unhealthy,
    capabilities: { models: [], maxConcurrentRequests: 0 },
    sessionId: '',
    connectedAt: new Date(0),
    lastHeartbeat: new Date(0),
    activeRequests: 0,
    completedRequests: 0,
    pendingRequestIds: new Set(),
    categoryActiveRequests: new Map(),
  };
}

module.exports = { AUTH, STATUSES, WorkerStatus, toWorkerInfo, unknownWorkerInfo };
