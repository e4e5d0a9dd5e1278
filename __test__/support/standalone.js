'use strict';

// Workers and sockets as users of the classes on their own make them.

const { EventEmitter } = require('node:events');

/** A socket that nobody listens to. */
function mockSocket(more = {}) {
  return { readyState: 1, send: jest.fn(), close: jest.fn(), ...more };
}

const modelOf = (modelId) => ({
  modelId,
  displayName: modelId,
  maxContextTokens: 8192,
  maxOutputTokens: 4096,
  supportsStreaming: true,
});

/** A ConnectedWorker; `models` and `max` and `limits` go into its capabilities, other fields replace its own. */
function makeWorker(id, { models = ['llama-3'], max = 2, limits, ...fields } = {}) {
  return {
    id,
    name: `Worker ${id}`,
    websocket: mockSocket(),
    capabilities: {
      models: models.map(modelOf),
      maxConcurrentRequests: max,
      ...(limits === undefined ? {} : { concurrencyLimits: limits }),
    },
    status: 'available',
    sessionId: `session of ${id}`,
    connectedAt: new Date(1000),
    lastHeartbeat: new Date(2000),
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
    ...fields,
  };
}

/** A `ws`-like socket on an EventEmitter: what it sends is kept in `sent`, how it was closed in `closed`. */
class EmitterSocket extends EventEmitter {
  readyState = 1;
  sent = [];
  closed = [];

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.closed.push({ code, reason });
    this.readyState = 2;
  }

  /** A message arrives, as `ws` passes it: a Buffer. */
  receive(message) {
    this.emit('message', Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)), false);
  }

  /** The connection ends, as `ws` reports it. */
  end(code = 1006, reason = '') {
    this.readyState = 3;
    this.emit('close', code, Buffer.from(reason));
  }
}

function registrationOf(workerId, { models = ['llama-3'], max = 2, ...fields } = {}) {
  return {
    type: 'worker_registration',
    workerId,
    workerName: `Worker ${workerId}`,
    capabilities: { models: models.map(modelOf), maxConcurrentRequests: max },
    ...fields,
  };
}

module.exports = { EmitterSocket, makeWorker, mockSocket, modelOf, registrationOf };
