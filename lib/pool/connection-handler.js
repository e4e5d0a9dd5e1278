'use strict';

const { randomUUID } = require('node:crypto');
const native = require('../native/addon.js');
const { inOwnContext } = require('../server/event-context.js');
const { guardedLogger } = require('../server/guarded-logger.js');
const { Handlers, SILENT_LOGGER, describeError, typeName, writeLine, wrongType } = require('../workers/handlers.js');
const { OPTION_NAMES } = require('../server/options.js');
const { readTokens, warnOfEmptyToken } = require('../server/tokens.js');
const { warnOfUnknownConfig } = require('../workers/unknown-options.js');
const { WorkerStatus, toWorkerInfo, unknownWorkerInfo } = require('../workers/worker-info.js');
const { WorkerLifecycle } = require('../workers/worker-lifecycle.js');
const { HEARTBEAT, applyStatusRule } = require('../workers/status-rules.js');

const REPLACED = native.closingOfReplaced();
const isObject = (value) => typeof value === 'object' && value !== null;

/**
 * Speaks the workers' protocol over sockets that the caller accepted. What a message means, and what is answered, the
 * native session says; here it is carried out, on the caller's pool and on the socket's own events.
 */
class ConnectionHandler {
  #pool;
  #config;
  #logger;
  #handlers;
  #lifecycle;

  constructor(pool, config, logger = SILENT_LOGGER) {
    if (!isObject(pool)) throw wrongType('pool', 'a WorkerPool', pool);
    this.#pool = pool;
    this.#config = readConfig(config);
    this.#logger = guardedLogger(logger);
    this.#handlers = new Handlers(this.#logger);
    this.#lifecycle = new WorkerLifecycle({ logger: this.#logger, handlers: this.#handlers });
  }

  onMessage(type, handler) {
    return this.#handlers.onMessage(type, handler);
  }

  onWorkerConnected(handler) {
    return this.#handlers.onConnected(handler);
  }

  onWorkerDisconnected(handler) {
    return this.#handlers.onDisconnected(handler);
  }

  handleConnection(ws) {
    if (!isObject(ws)) throw wrongType('ws', 'a WebSocket', ws);
    for (const method of ['on', 'send', 'close']) {
      if (typeof ws[method] !== 'function') throw wrongType(`ws.${method}`, 'a function', ws[method]);
    }
    this.#logger.debug('New WebSocket connection from potential worker');
    const connection = { ws, workerId: undefined, session: new native.NativeSession(this.#config.authTokens) };
    ws.on('message', (data) => this.#handle(() => this.#onMessage(connection, data)));
    ws.on('close', (code, reason) => this.#handle(() => this.#onClose(connection, code, reason)));
    ws.on('error', (error) => this.#complain(error));
  }

  /** Handles an event of a socket in a context of its own. What goes wrong with it goes wrong with no other. */
  #handle(event) {
    try {
      inOwnContext(event);
    } catch (thrown) {
      this.#complain(thrown);
    }
  }

  #onMessage(connection, data) {
    const text = textOf(data);
    const action = connection.session.onText(text);
    switch (action.kind) {
      case 'register':
        this.#register(connection, action, text);
        break;
      case 'refuse':
        this.#log(action.line);
        this.#send(connection.ws, action.answer);
        this.#close(connection.ws, action.closing);
        break;
      case 'heartbeat':
        this.#heartbeat(connection, action);
        break;
      case 'deliver':
        this.#deliver(connection, text);
        break;
      case 'complain':
        this.#log(action.line);
        break;
      default: // The peer was refused.
    }
  }

  #onClose(connection, code, reason) {
    const closing = { code, reason: reason === undefined ? '' : String(reason) };
    const { workerId } = connection;
    const worker = this.#workerOf(connection);
    connection.workerId = undefined;
    if (worker === undefined) {
      this.#logger.debug('Unregistered WebSocket connection closed', closing);
      return;
    }
    this.#pool.remove(workerId);
    this.#lifecycle.disconnected(workerId, worker, closing);
  }

  /** The worker that a connection stands for, unless its place in the pool was taken or given up meanwhile. */
  #workerOf({ workerId, ws }) {
    const worker = workerId === undefined ? undefined : this.#pool.get(workerId);
    return worker?.websocket === ws ? worker : undefined;
  }

  #register(connection, { workerId, workerName, models, max }, text) {
    const { ws } = connection;
    const former = connection.workerId;
    const own = this.#workerOf(connection);
    connection.workerId = undefined;
    if (own !== undefined) this.#displace(former, own, ws);
    const rival = this.#pool.get(workerId);
    if (rival !== undefined) this.#displace(workerId, rival, ws);

    const sessionId = randomUUID();
    const now = new Date();
    const worker = {
      id: workerId,
      name: workerName,
      websocket: ws,
      capabilities: JSON.parse(text).capabilities,
      status: WorkerStatus.Available,
      sessionId,
      connectedAt: now,
      lastHeartbeat: now,
      activeRequests: 0,
      pendingRequests: new Set(),
      completedRequests: 0,
      requestCategories: new Map(),
      categoryActiveRequests: new Map(),
    };
    this.#pool.add(worker);
    connection.workerId = workerId;
    this.#send(ws, native.registrationAck(sessionId, this.#config.heartbeatIntervalMs));
    this.#lifecycle.registered({ workerId, workerName, models, maxConcurrentRequests: max });
    this.#handlers.connected(() => toWorkerInfo(worker));
  }

  /** A worker leaves the pool to make room for a new session, which may be on its own socket `ws`. */
  #displace(workerId, worker, ws) {
    const { websocket } = worker;
    this.#lifecycle.displace(workerId, worker, () => {
      this.#pool.remove(workerId);
      if (websocket !== ws) this.#close(websocket, REPLACED);
    });
  }

  #deliver(connection, text) {
    this.#handlers.message(JSON.parse(text), () => infoOf(this.#workerOf(connection)));
  }

  #heartbeat({ ws }, { workerId, named, timestamp }) {
    const worker = workerId === undefined ? undefined : this.#pool.get(workerId);
    if (worker === undefined) {
      this.#logger.warn('Heartbeat from unknown worker', {
        workerId: named === undefined ? undefined : JSON.parse(named),
      });
      return;
    }
    const now = new Date();
    worker.lastHeartbeat = now;
    applyStatusRule(HEARTBEAT, worker, worker.capabilities.maxConcurrentRequests);
    this.#send(ws, native.heartbeatAck(timestamp, now.getTime(), this.#config.heartbeatTimeoutMs));
  }

  #send(ws, text) {
    try {
      ws.send(text);
    } catch (thrown) {
      this.#complain(thrown);
    }
  }

  #close(ws, { code, reason }) {
    try {
      ws.close(code, reason);
    } catch (thrown) {
      this.#complain(thrown);
    }
  }

  #complain(thrown) {
    this.#logger.error('Worker WebSocket error', { error: describeError(thrown) });
  }

  #log({ level, message, context }) {
    writeLine(this.#logger, level, message, context);
  }
}

function readConfig(config) {
  // Not what came instead: it may be a token.
  if (!isObject(config)) throw new TypeError(`config must be an object, got ${typeName(config)}`);
  const { authToken, heartbeatTimeoutMs, heartbeatIntervalMs } = config;
  const authTokens = readTokens(authToken, 'config.authToken');
  for (const [name, value] of Object.entries({ heartbeatTimeoutMs, heartbeatIntervalMs })) {
    if (!Number.isFinite(value) || value < 0) throw wrongType(`config.${name}`, 'a finite number, not negative', value);
  }
  // A caller that has a server's options at hand may pass all of them.
  warnOfUnknownConfig(config, OPTION_NAMES);
  warnOfEmptyToken(authTokens, 'config.authToken');
  return { authTokens, heartbeatTimeoutMs, heartbeatIntervalMs };
}

const infoOf = (worker) => (worker === undefined ? unknownWorkerInfo() : toWorkerInfo(worker));

/** The text of a message in any form in which `ws` passes it: a Buffer, an ArrayBuffer, parts, or a string. */
function textOf(data) {
  if (typeof data === 'string') return data;
  if (Array.isArray(data)) return Buffer.concat(data).toString();
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
  if (Object.prototype.toString.call(data) === '[object ArrayBuffer]') return Buffer.from(data).toString();
  return String(data);
}

module.exports = { ConnectionHandler };
