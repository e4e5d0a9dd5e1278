'use strict';

// The same package in plain JavaScript on `ws` and `http`, as directly as it can be written: the other side of the parity
// tests and of the benchmarks. It has the behaviour, and none of the limits that protect a server from its peers.

const http = require('node:http');
const { WebSocketServer } = require('ws');
const { ConnectionHandler, requireFunction, text } = require('./standin-connection.js');
const { WorkerPool, WorkerStatus, OPEN, safeCompare, silent, toWorkerInfo } = require('./standin-pool.js');

function requireString(value, name) {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string`);
}

function checkOptions(options) {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { authToken } = options;
  const port = Number(options.port ?? NaN);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new TypeError('port must be a port number');
  if (authToken !== undefined) requireString(authToken, 'authToken');
  for (const name of ['heartbeatTimeoutMs', 'healthCheckIntervalMs', 'heartbeatIntervalMs']) {
    const value = options[name];
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new TypeError(`${name} must be a number that is not negative`);
    }
  }
}

class WorkerServer {
  constructor(options) {
    checkOptions(options);
    const { heartbeatTimeoutMs = 60_000, healthCheckIntervalMs = 10_000, heartbeatIntervalMs = 15_000 } = options;
    this.configuredPort = Number(options.port);
    this.heartbeatTimeoutMs = heartbeatTimeoutMs;
    this.healthCheckIntervalMs = healthCheckIntervalMs;
    this.stopGraceMs = options.limits?.stopGraceMs ?? 5_000;
    this.logger = options.logger ?? silent;
    this.pool = new WorkerPool(this.logger);
    const { authToken, acceptUnregistered = !authToken } = options;
    const config = { authToken, acceptUnregistered, heartbeatTimeoutMs, heartbeatIntervalMs };
    this.connections = new ConnectionHandler(this.pool, config, this.logger);
    this.httpHandlers = [];
    this.endpoints = new Map();
    this.http = null;
  }

  get port() {
    return this.http?.address()?.port ?? this.configuredPort;
  }

  async start() {
    if (this.http) throw new Error('WorkerServer is already running');
    const server = http.createServer((req, res) => this.answer(req, res));
    this.http = server;
    this.wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    server.on('upgrade', (req, socket, head) => this.upgrade(req, socket, head));
    try {
      await new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(this.configuredPort, () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      this.http = null;
      this.logger.error('HTTP server error', { error: text(error) });
      throw error;
    }
    server.on('error', (error) => this.logger.error('HTTP server error', { error: text(error) }));
    this.healthTimer = setInterval(() => this.judgeHealth(), this.healthCheckIntervalMs);
    this.logger.debug('HTTP + WebSocket server started', { port: this.port });
  }

  async stop() {
    const server = this.http;
    if (!server) return;
    this.http = null;
    clearInterval(this.healthTimer);
    this.pool.closeAll();
    for (const ws of this.wss.clients) ws.close(1001, 'Server shutting down');
    this.endpoints.clear();
    const cut = setTimeout(() => {
      for (const ws of this.wss.clients) ws.terminate();
      server.closeAllConnections();
    }, this.stopGraceMs);
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeIdleConnections();
    });
    clearTimeout(cut);
    this.logger.debug('HTTP + WebSocket server stopped');
  }

  judgeHealth() {
    for (const workerId of this.pool.checkHealth(this.heartbeatTimeoutMs)) {
      const { websocket } = this.pool.get(workerId);
      if (websocket.readyState !== OPEN) continue;
      this.logger.warn('Worker connection presumed dead, closing', { workerId });
      websocket.close(4003, 'Heartbeat timeout');
    }
  }

  async answer(req, res) {
    const answered = () => res.headersSent || res.writableEnded;
    let status = 404;
    for (const handler of this.httpHandlers) {
      try {
        if ((await handler(req, res)) || answered()) return;
      } catch (thrown) {
        this.logger.error('HTTP handler error', { error: text(thrown), url: req.url });
        if (answered()) return;
        status = 500;
      }
    }
    res.writeHead(status, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ error: status === 404 ? 'Not found' : 'Internal server error' }));
  }

  upgrade(req, socket, head) {
    const path = req.url.split('?')[0];
    const handler = this.endpoints.get(path);
    this.wss.handleUpgrade(req, socket, head, (ws) => {
      if (!handler) {
        this.connections.handleConnection(ws);
        return;
      }
      const complain = (thrown) => this.logger.error('WebSocket server error', { path, error: text(thrown) });
      try {
        handler(ws);
      } catch (thrown) {
        complain(thrown);
      }
    });
  }

  onWorkerConnected(handler) {
    return this.connections.onWorkerConnected(handler);
  }

  onWorkerDisconnected(handler) {
    return this.connections.onWorkerDisconnected(handler);
  }

  onWorkerMessage(type, handler) {
    return this.connections.onMessage(type, handler);
  }

  addHttpHandler(handler) {
    requireFunction(handler, 'handler');
    this.httpHandlers.push(handler);
  }

  addWebSocketEndpoint(path, handler) {
    requireString(path, 'path');
    requireFunction(handler, 'handler');
    this.endpoints.set(path, handler);
  }

  send(workerId, message) {
    return this.pool.send(workerId, message);
  }

  broadcast(message) {
    this.pool.broadcast(message);
  }

  getAvailableWorker(model, category) {
    requireString(model, 'model');
    const worker = this.pool.getAvailableWorker(model, category);
    return worker && toWorkerInfo(worker);
  }

  getAnyAvailableWorker() {
    const worker = this.pool.getAnyAvailableWorker();
    return worker && toWorkerInfo(worker);
  }

  getAvailableSlotCount(model, category) {
    requireString(model, 'model');
    return this.pool.getAvailableSlotCount(model, category);
  }

  getWorkerCount() {
    return this.pool.getCount();
  }

  getAvailableWorkerCount() {
    return this.pool.getAvailableCount();
  }

  getWorkerInfo() {
    return this.pool.getWorkerInfoList();
  }

  trackRequest(workerId, requestId, category) {
    this.pool.trackRequest(workerId, requestId, category);
  }

  releaseRequest(requestId, options) {
    this.pool.releaseRequest(requestId, options);
  }
}

module.exports = { WorkerServer, WorkerPool, ConnectionHandler, WorkerStatus, toWorkerInfo, safeCompare };
