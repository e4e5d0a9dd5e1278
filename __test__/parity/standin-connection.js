'use strict';

// One conversation with a peer, in the stand-in: registration, heartbeats, and messages for the application.

const { randomUUID } = require('node:crypto');
const { WorkerStatus, atCapacity, safeCompare, silent, toWorkerInfo } = require('./standin-pool.js');

const text = (thrown) => String(thrown?.message ?? thrown);

function requireFunction(value, name) {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function`);
}

const unknownWorker = () => ({
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
});

/** What is wrong with a registration, as "field: what", or null. */
function invalidField(message) {
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
  const kind = (value) => {
    if (value === undefined) return 'nothing';
    if (value === null) return 'null';
    if (Array.isArray(value)) return 'an array';
    return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  };
  const wrong = (field, expected, value) => `${field}: expected ${expected}, got ${kind(value)}`;
  const { workerId, workerName, capabilities } = message;
  if (typeof workerId !== 'string') return wrong('workerId', 'a string', workerId);
  if (workerName != null && typeof workerName !== 'string') return wrong('workerName', 'a string', workerName);
  if (!isObject(capabilities)) return wrong('capabilities', 'an object', capabilities);
  const { models, maxConcurrentRequests: max, concurrencyLimits: limits } = capabilities;
  if (!Array.isArray(models)) return wrong('capabilities.models', 'an array', models);
  for (const [i, model] of models.entries()) {
    const path = `capabilities.models[${i}]`;
    if (!isObject(model)) return wrong(path, 'an object', model);
    if (typeof model.modelId !== 'string') return wrong(`${path}.modelId`, 'a string', model.modelId);
  }
  if (typeof max !== 'number' || !Number.isFinite(max) || max < 0) {
    return wrong('capabilities.maxConcurrentRequests', 'a finite number that is not negative', max);
  }
  if (limits == null) return null;
  if (!isObject(limits)) return wrong('capabilities.concurrencyLimits', 'an object of numbers', limits);
  for (const [category, limit] of Object.entries(limits)) {
    if (typeof limit !== 'number') return wrong(`capabilities.concurrencyLimits.${category}`, 'a number', limit);
  }
  return null;
}

class ConnectionHandler {
  constructor(pool, config, logger = silent) {
    this.pool = pool;
    this.config = config;
    this.logger = logger;
    this.connected = new Set();
    this.disconnected = new Set();
    this.messages = new Map();
  }

  onWorkerConnected(handler) {
    return this.subscribe(this.connected, handler);
  }

  onWorkerDisconnected(handler) {
    return this.subscribe(this.disconnected, handler);
  }

  onMessage(type, handler) {
    if (typeof type !== 'string') throw new TypeError('type must be a string');
    requireFunction(handler, 'handler');
    if (!this.messages.has(type)) this.messages.set(type, new Set());
    return this.subscribe(this.messages.get(type), handler);
  }

  subscribe(handlers, handler) {
    requireFunction(handler, 'handler');
    handlers.add(handler);
    return () => {
      handlers.delete(handler);
    };
  }

  run(handlers, complaint, context, ...args) {
    const complain = (thrown) => this.logger.error(complaint, { ...context, error: text(thrown) });
    for (const handler of handlers) {
      try {
        const result = handler(...args);
        if (typeof result?.then === 'function') result.then(undefined, complain);
      } catch (thrown) {
        complain(thrown);
      }
    }
  }

  handleConnection(ws) {
    this.logger.debug('New WebSocket connection from potential worker');
    const session = { ws, worker: null, refused: false, registered: false };
    ws.on('message', (data) => this.receive(session, data));
    ws.on('close', (code, reason) => this.closed(session, code, String(reason)));
    ws.on('error', (error) => this.logger.error('Worker WebSocket error', { error: text(error) }));
  }

  receive(session, data) {
    if (session.refused) return;
    let message;
    try {
      message = JSON.parse(data.toString());
    } catch {
      this.logger.warn('Invalid JSON message from worker');
      return;
    }
    if (typeof message?.type !== 'string') {
      this.logger.warn('Message missing type field');
    } else if (message.type === 'worker_registration') {
      this.register(session, message);
    } else if (!session.registered && this.config.acceptUnregistered === false) {
      this.logger.warn('Message from unregistered connection', { type: message.type });
    } else if (message.type === 'heartbeat') {
      this.heartbeat(session, message);
    } else {
      this.deliver(session, message);
    }
  }

  reply(session, message) {
    session.ws.send(JSON.stringify(message));
  }

  refuse(session, error, code, reason) {
    session.refused = true;
    this.reply(session, { type: 'worker_registration_ack', success: false, error });
    session.ws.close(code, reason);
  }

  register(session, message) {
    const { authToken, heartbeatIntervalMs } = this.config;
    const { workerId, capabilities } = message;
    if (authToken !== undefined) {
      const given = message.authToken ?? '';
      if (typeof given !== 'string' || !safeCompare(given, authToken)) {
        this.logger.warn('Worker registration rejected: invalid auth token', { workerId });
        this.refuse(session, 'Invalid authentication token', 4001, 'Authentication failed');
        return;
      }
    }
    const invalid = invalidField(message);
    if (invalid !== null) {
      const error = `Invalid registration: ${invalid}`;
      this.logger.warn('Worker registration rejected: invalid registration', { workerId, error });
      this.refuse(session, error, 4002, 'Invalid registration');
      return;
    }
    if (session.worker) this.displace(session.worker, session);
    const rival = this.pool.get(workerId);
    if (rival) this.displace(rival, session);
    const now = new Date();
    const worker = {
      id: workerId,
      name: message.workerName ?? workerId,
      websocket: session.ws,
      capabilities,
      status: WorkerStatus.Available,
      sessionId: randomUUID(),
      connectedAt: now,
      lastHeartbeat: now,
      activeRequests: 0,
      pendingRequests: new Set(),
      completedRequests: 0,
      requestCategories: new Map(),
      categoryActiveRequests: new Map(),
    };
    worker.session = session;
    session.worker = worker;
    session.registered = true;
    this.pool.add(worker);
    const { sessionId } = worker;
    this.reply(session, { type: 'worker_registration_ack', success: true, sessionId, heartbeatIntervalMs });
    this.logger.debug('Worker registered', {
      workerId,
      workerName: worker.name,
      models: capabilities.models.map(({ modelId }) => modelId),
      maxConcurrentRequests: capabilities.maxConcurrentRequests,
    });
    this.run(this.connected, 'Error in connected handler', {}, toWorkerInfo(worker));
  }

  /** Takes a worker out of the pool to make room for a new session, which may be on the same socket. */
  displace(worker, by) {
    this.logger.debug('Replacing existing worker connection', { workerId: worker.id });
    if (worker.session) worker.session.worker = null;
    if (worker.session !== by) worker.websocket.close(4003, 'Replaced by new connection');
    this.pool.remove(worker.id);
    const count = worker.pendingRequests.size;
    if (count === 0) return;
    this.logger.warn('Replaced worker had pending requests', { workerId: worker.id, count });
    this.left(worker);
  }

  left(worker) {
    const pending = new Set(worker.pendingRequests);
    this.run(this.disconnected, 'Error in disconnected handler', {}, toWorkerInfo(worker), pending);
  }

  heartbeat(session, { workerId, timestamp }) {
    const worker = this.pool.get(workerId);
    if (!worker) {
      this.logger.warn('Heartbeat from unknown worker', { workerId });
      return;
    }
    worker.lastHeartbeat = new Date();
    if (worker.status === WorkerStatus.Unhealthy) {
      worker.status = atCapacity(worker) ? WorkerStatus.Busy : WorkerStatus.Available;
    }
    const nextHeartbeatDeadline = new Date(Date.now() + this.config.heartbeatTimeoutMs).toISOString();
    this.reply(session, { type: 'heartbeat_ack', timestamp, nextHeartbeatDeadline });
  }

  deliver(session, message) {
    const { type } = message;
    const handlers = this.messages.get(type);
    if (!handlers || handlers.size === 0) {
      this.logger.warn('Unhandled message type from worker', { type });
      return;
    }
    const info = session.worker ? toWorkerInfo(session.worker) : unknownWorker();
    this.run(handlers, 'Error in message handler', { type }, info, message);
  }

  closed(session, code, reason) {
    const { worker } = session;
    if (!worker) {
      this.logger.debug('Unregistered WebSocket connection closed', { code, reason });
      return;
    }
    session.worker = null;
    if (this.pool.get(worker.id) !== worker) return;
    const count = worker.pendingRequests.size;
    if (count > 0) this.logger.warn('Worker disconnected with pending requests', { workerId: worker.id, count });
    this.pool.remove(worker.id);
    this.logger.debug('Worker disconnected', { workerId: worker.id, code, reason });
    this.left(worker);
  }
}

module.exports = { ConnectionHandler, requireFunction, text };
