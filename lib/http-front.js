'use strict';

const http = require('node:http');
const net = require('node:net');
const { clearTimeout, setTimeout } = require('node:timers');
const { WebSocketServer } = require('ws');

const { describeError } = require('./handlers.js');

const NO_OP = () => {};

/**
 * Whoever has answered has handled it. An answer that was begun is not ended by anyone else, not even after a throw:
 * something may be piped into it still, and nobody but the handler can know.
 */
const isAnswered = (res) => res.headersSent || res.writableEnded || res.destroyed;

/** Until a socket has sent what it was given so far, or is closed. */
function sent(socket) {
  return new Promise((resolve) => {
    // Its end is under way, and it takes no more writes.
    if (!socket.writable) socket.once('close', resolve);
    // Called in its turn, and when the socket is destroyed before. Nothing is sent for it.
    else socket.write('', () => resolve());
  });
}

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
  /** The same function for every response, which is `this` in it: one made for each would cost more than calling it. */
  #onResponseClosed;

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
    const isClosing = () => this.#closing;
    this.#onResponseClosed = function onResponseClosed() {
      if (isClosing()) this.req.socket.destroySoon();
    };
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
    this.#server.on('error', (error) => logger.error('HTTP server error', { error: describeError(error) }));
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
    for (const ws of this.#endpointServer.clients) this.#sayGoodbye(ws);
    let timer;
    const overdue = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    const empty = new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
    if (this.#sockets.size > 0) await Promise.race([this.#allSent(), empty, overdue]);
    // It says that it was never listening; what counts is that it closes idle connections and stops its timer.
    this.#server.close(NO_OP);
    if (this.#sockets.size > 0) await Promise.race([empty, overdue]);
    clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #sayGoodbye(ws) {
    try {
      ws.close(1001, 'Server shutting down');
    } catch {
      // The application may have changed it. It is cut when the grace period is over, and the others say theirs.
    }
  }

  /**
   * Until nothing waits to be sent on any connection. To Node a connection is idle from the moment that a response is
   * ended, and closing it then would cut off what the peer has not taken yet.
   */
  async #allSent() {
    for (;;) {
      const sending = [...this.#sockets].filter((socket) => socket.writableLength > 0);
      if (sending.length === 0) return;
      await Promise.all(sending.map(sent));
    }
  }

  #onRequest(req, res) {
    res.on('close', this.#onResponseClosed);
    this.#offer(req, res, 0);
  }

  /**
   * Asks the handlers, from the `next`-th on, until one has handled the request.
   *
   * Most handlers answer before they return. Nothing is then left to ask, and their promise is only looked after: an
   * async function around each request, with an `await`, would be a tenth of what Node takes for all of it.
   */
  #offer(req, res, next) {
    const handlers = this.#handlers;
    for (let i = next; i < handlers.length; i += 1) {
      let handled;
      let promise;
      try {
        handled = handlers[i](req, res);
        if (typeof handled?.then === 'function') promise = Promise.resolve(handled);
      } catch (thrown) {
        handled = false;
        this.#complain(req, thrown);
      }
      if (isAnswered(res)) {
        promise?.then(undefined, (thrown) => this.#complain(req, thrown));
        return;
      }
      if (promise !== undefined) {
        const goOn = () => {
          if (!isAnswered(res)) this.#offer(req, res, i + 1);
        };
        promise.then(
          (result) => {
            if (!result) goOn();
          },
          (thrown) => {
            this.#complain(req, thrown);
            goOn();
          },
        );
        return;
      }
      if (handled) return;
    }
    try {
      res.writeHead(404, { 'Content-Type': 'application/json' });
      res.end(JSON.stringify({ error: 'Not found' }));
    } catch (thrown) {
      // A handler that declined may have left what can't be sent, such as a status message of two lines.
      this.#complain(req, thrown);
      res.destroy();
    }
  }

  #complain(req, thrown) {
    this.#logger.error('HTTP handler error', { error: describeError(thrown), url: req.url });
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
