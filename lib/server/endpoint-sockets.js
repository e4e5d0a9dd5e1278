'use strict';

const { WebSocketServer } = require('ws');

const native = require('../native/addon.js');
const { describeError } = require('../workers/handlers.js');

const SHUTDOWN = native.closingOfShutdown();
/** The `code` of the error with which `ws` ends a socket whose message is larger than `maxPayload`. */
const TOO_BIG = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
const NO_OP = () => {};

/** The WebSockets of the application's own endpoints, which `ws` serves. */
class EndpointSockets {
  #maxPayload;
  #limitedLogger;
  #diagnostics;
  #metrics;
  /** The server of endpoints that don't compress, and by endpoint those of the others. */
  #server;
  #compressing = new WeakMap();
  #sockets = new Set();

  /** @param limitedLogger for lines that any peer can cause */
  constructor({ maxPayload, limitedLogger, diagnostics, metrics }) {
    this.#maxPayload = maxPayload;
    this.#limitedLogger = limitedLogger;
    this.#diagnostics = diagnostics;
    this.#metrics = metrics;
    this.#server = this.#createServer(false);
  }

  /** Answers an upgrade to an endpoint, and passes the WebSocket to its handler. */
  accept(path, endpoint, req, socket, head) {
    this.#serverOf(endpoint).handleUpgrade(req, socket, head, (ws) => this.#onSocket(path, endpoint, ws, req));
  }

  /** Answers an upgrade with a method that no WebSocket begins with. */
  refuseMethod(req, socket, head) {
    this.#server.handleUpgrade(req, socket, head, NO_OP);
  }

  /** The server stops. */
  sayGoodbye() {
    for (const ws of this.#sockets) closeGoingAway(ws);
  }

  #createServer(perMessageDeflate) {
    return new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: this.#maxPayload,
      perMessageDeflate,
    });
  }

  #serverOf(endpoint) {
    if (!endpoint.perMessageDeflate) return this.#server;
    let server = this.#compressing.get(endpoint);
    if (server === undefined) {
      server = this.#createServer(endpoint.perMessageDeflate);
      this.#compressing.set(endpoint, server);
    }
    return server;
  }

  #onSocket(path, { handler }, ws, req) {
    this.#sockets.add(ws);
    ws.on('close', () => this.#sockets.delete(ws));
    const tell = (thrown) =>
      this.#limitedLogger.error('WebSocket server error', { path, error: describeError(thrown) });
    const complain = (thrown) => {
      this.#diagnostics.threw(thrown, 'WebSocket endpoint handler');
      tell(thrown);
    };
    // Without a listener a peer's broken frame would be an uncaught exception.
    ws.on('error', (error) => {
      if (error?.code === TOO_BIG) this.#metrics.limitHit('maxMessageBytes');
      tell(error);
    });
    try {
      const result = handler(ws, req);
      if (typeof result?.then === 'function') result.then(undefined, complain);
    } catch (thrown) {
      complain(thrown);
    }
  }
}

function closeGoingAway(ws) {
  try {
    ws.close(SHUTDOWN.code, SHUTDOWN.reason);
  } catch {
    // The application may have changed it. It is cut when the grace period is over, and the others say theirs.
  }
}

module.exports = { EndpointSockets };
