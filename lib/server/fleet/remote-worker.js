'use strict';

const { toWorkerInfo } = require('../../workers/worker-info.js');

/** What peers know of a worker of this server. */
function entryOf(record, takesObjects) {
  return {
    id: record.id,
    name: record.name,
    sessionId: record.sessionId,
    connectedAt: record.connectedAt.getTime(),
    capabilities: record.capabilities,
    takes: takesOf(record, takesObjects),
  };
}

/** Which requests it takes: 'anything', 'objects' (only plain objects) or 'nothing'. */
function takesOf(record, takesObjects) {
  if (record.speaksRequests) return 'anything';
  return takesObjects ? 'objects' : 'nothing';
}

/** The state of a worker of this server at the moment, as it is sent to the origin of a request. */
function stateOf(record) {
  return {
    id: record.id,
    status: record.status,
    lastHeartbeat: record.lastHeartbeat.getTime(),
    active: record.activeRequests,
    completed: record.completedRequests,
    pending: [...record.pendingRequests],
    categories: [...record.categoryActiveRequests],
  };
}

/**
 * A worker of another node, as far as a request there needs it: its id, and its `WorkerInfo` as of when the request
 * got it.
 */
class RemoteWorker {
  #state;
  #entry;

  /**
   * @param state from `stateOf`, or the id alone for a request whose worker nobody looks at
   * @param entry from `entryOf`, both of its node
   */
  constructor(state, entry) {
    this.id = state.id;
    this.#state = state;
    this.#entry = entry;
  }

  toInfo() {
    const state = this.#state;
    const entry = this.#entry;
    return toWorkerInfo({
      id: state.id,
      name: entry?.name ?? state.id,
      status: state.status ?? 'available',
      capabilities: entry?.capabilities ?? { models: [], maxConcurrentRequests: 0 },
      sessionId: entry?.sessionId ?? '',
      connectedAt: new Date(entry?.connectedAt ?? 0),
      lastHeartbeat: new Date(state.lastHeartbeat ?? Date.now()),
      activeRequests: state.active ?? 1,
      completedRequests: state.completed ?? 0,
      pendingRequests: new Set(state.pending),
      categoryActiveRequests: new Map(state.categories),
    });
  }
}

module.exports = { RemoteWorker, entryOf, stateOf };
