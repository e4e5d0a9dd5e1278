'use strict';

const http = require('node:http');
const net = require('node:net');
const { clearTimeout, setTimeout } = require('node:timers');
const { WebSocketServer } = require('ws');

const { describeError } = require('./handlers.js');

const NO_OP = () => {};

/**
 * Everything on the port that is no worker's: HTTP requests and the application's own WebSocket endpoints.
 *
 * The native side owns the listening socket. Connections whose first request is not a worker's arrive here as file
 * descriptors (or relayed, see `relay.js`), and from then on they are Node's: a `net.Socket` on an `http.Server` that
 * never listens itself.
 */
class HttpFront {
  #handlers;
  #endpoints;
  #logger;
  #limitedLogger;
  #takeBack;
  #server;
  #endpointServer;
  #sockets = new Set();
  #closing = false;
  #onEmpty = NO_OP;

  /**
   * @param handlers the HTTP handlers, a live list
   * @param endpoints the endpoint handlers by path, a live map
   * @param limitedLogger for lines that any peer can cause
   * @param takeBack called with a descriptor and the bytes of a request that turned out to be a worker's
   */
  constructor({ handlers, endpoints, limits, logger, limitedLogger, takeBack }) {
    this.#handlers = handlers;
    this.#endpoints = endpoints;
    this.#logger = logger;
    this.#limitedLogger = limitedLogger;
    this.#takeBack = takeBack;
    this.#endpointServer = new WebSocketServer({
      noServer: true,
      // `ws` takes a 32-bit integer, and 0 for no limit.
      maxPayload: Math.min(Math.max(1, limits.maxMessageBytes), 2 ** 31 - 1),
      perMessageDeflate: true,
    });
    this.#server = http.createServer({
      maxHeaderSize: limits.maxHeadBytes,
      headersTimeout: limits.headTimeoutMs,
      // How often it looks; its default would let short timeouts wait for half a minute.
      connectionsCheckingInterval: Math.min(30_000, Math.max(100, limits.headTimeoutMs / 2)),
      // Node's default, which must not be shorter than headersTimeout.
      requestTimeout: Math.max(300_000, limits.headTimeoutMs),
    });
    this.#server.on('request', (req, res) => this.#onRequest(req, res));
    this.#server.on('upgrade', (req, socket, head) => this.#onUpgrade(req, socket, head));
    this.#server.on('error', (error) => logger.error('HTTP server error', { error: error.message }));
    // The server keeps track of its connections, for its timeouts, only from this event on.
    this.#server.emit('listening');
  }

  /** Serves a connection by its descriptor, and what was read of it. */
  acceptDescriptor(fd, head) {
    let socket;
    try {
      socket = new net.Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
    } catch (error) {
      this.#limitedLogger.error('HTTP server error', { error: error.message });
      return;
    }
    if (head.length > 0) socket.unshift(head);
    this.accept(socket);
  }

  /** Serves a connection. */
  accept(socket) {
    if (this.#closing) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty();
    });
    // For what happens before and after the http server looks after it.
    socket.on('error', NO_OP);
    this.#server.emit('connection', socket);
  }

  /** Lets running requests end and endpoint sockets say goodbye, then cuts what is left after `graceMs`. */
  async close(graceMs) {
    this.#closing = true;
    // It says that it was never listening; what counts is that it closes idle connections and stops its timer.
    this.#server.close(NO_OP);
    for (const ws of this.#endpointServer.clients) ws.close(1001, 'Server shutting down');
    if (this.#sockets.size === 0) return;
    let timer;
    await new Promise((resolve) => {
      this.#onEmpty = resolve;
      timer = setTimeout(resolve, graceMs);
    });
    clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  async #onRequest(req, res) {
    const { socket } = req;
    res.once('close', () => {
      if (this.#closing) socket.destroySoon();
    });
    for (const handler of this.#handlers) {
      try {
        if (await handler(req, res)) return;
      } catch (thrown) {
        this.#logger.error('HTTP handler error', { error: describeError(thrown), url: req.url });
      }
      // Whoever has answered has handled it. An answer that was begun is not ended here, not even after a throw: something
      // may be piped into it still, and nobody but the handler can know.
      if (res.headersSent || res.writableEnded || res.destroyed) return;
    }
    res.writeHead(404, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ error: 'Not found' }));
  }

  #onUpgrade(req, socket, head) {
    const [path] = req.url.split('?');
    const handler = this.#endpoints.get(path);
    if (this.#closing) {
      socket.destroy();
    } else if (handler !== undefined) {
      this.#endpointServer.handleUpgrade(req, socket, head, (ws) => this.#onEndpointSocket(path, handler, ws));
    } else {
      this.#returnToWorkers(req, socket, head);
    }
  }

  #onEndpointSocket(path, handler, ws) {
    const tell = (logger, thrown) => logger.error('WebSocket server error', { path, error: describeError(thrown) });
    const complain = (thrown) => tell(this.#logger, thrown);
    // Without a listener a peer's broken frame would be an uncaught exception.
    ws.on('error', (error) => tell(this.#limitedLogger, error));
    try {
      const result = handler(ws);
      if (typeof result?.then === 'function') result.then(undefined, complain);
    } catch (thrown) {
      complain(thrown);
    }
  }

  /** A worker that came on a connection which had served other requests, as some proxies have it. */
  #returnToWorkers(req, socket, head) {
    const fd = socket._handle?.fd ?? -1;
    const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
    for (let i = 0; i < req.rawHeaders.length; i += 2) lines.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
    try {
      this.#takeBack(fd, Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
      // Closes only this side's descriptor: the connection lives on in the other.
      socket.destroy();
    } catch (error) {
      this.#limitedLogger.error('HTTP server error', { error: error.message });
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    }
  }
}

module.exports = { HttpFront };
