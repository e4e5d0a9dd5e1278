'use strict';

// What every WorkerInfo looks like.

/** Its properties, in their order. */
const INFO_KEYS = [
  'id',
  'name',
  'status',
  'capabilities',
  'sessionId',
  'connectedAt',
  'lastHeartbeat',
  'activeRequests',
  'completedRequests',
  'pendingRequestIds',
  'categoryActiveRequests',
];

/** The info of a socket that is not registered. */
const UNKNOWN_INFO = {
  id: 'unknown',
  name: 'unknown',
  status: 'unhealthy',
  capabilities: { models: [], maxConcurrentRequests: 0 },
  sessionId: '',
  connectedAt: new Date(0),
  lastHeartbeat: new Date(0),
  activeRequests: 0,
  completedRequests: 0,
  pendingRequestIds: new Set(),
  categoryActiveRequests: new Map(),
};

module.exports = { INFO_KEYS, UNKNOWN_INFO };
