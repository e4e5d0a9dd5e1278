'use strict';

const http = require('node:http');
const net = require('node:net');
const { clearTimeout, setTimeout } = require('node:timers');

const { describeError } = require('../workers/handlers.js');
const { EndpointSockets } = require('./endpoint-sockets.js');
const { exceededLimit, httpOptions } = require('./head-limits.js');
const { noticeLoss, showPeer } = require('./peer-socket.js');
const { asksForWebSocket, hasBody, headOf, headWithoutUpgrade, pathOf } = require('./upgrade-request.js');

const NO_OP = () => {};

/** On a socket: the responses to its requests that are not ended yet, in order. */
const UNANSWERED = Symbol('unanswered');
/** On a socket: what to do when there are none. */
const ON_ANSWERED = Symbol('onAnswered');
/** On an encrypted socket: the number by which the native side knows it. */
const NUMBER = Symbol('number');
/** On a socket: the request whose wish for an upgrade was passed over, and which comes again without it. */
const PASSED_OVER = Symbol('passedOver');

/**
 * A handler that has answered has handled it. An answer that was begun is not ended by anyone else, not even after a
 * throw: something may be piped into it still, and nobody but the handler can know.
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
  #limitedLogger;
  #diagnostics;
  /** The native side, once its port is bound. */
  #getNative;
  #server;
  #endpointSockets;
  #sockets = new Set();
  #closing = false;
  #onEmpty = NO_OP;
  /**
   * The same functions for every response or socket, which is `this` in them: one made for each would cost more than
   * calling it.
   */
  #onResponseClosed;
  #onResponseError;
  #onSocketError;

  /**
   * @param handlers the HTTP handlers, a live list
   * @param endpoints the endpoints by path, each a handler and its `perMessageDeflate`, a live map
   * @param limitedLogger for lines that any peer can cause
   * @param getNative returns the native side, which hands over sockets and takes those back that turned out to be
   *   workers'
   */
  constructor({ handlers, endpoints, limits, limitedLogger, diagnostics, metrics, getNative }) {
    this.#handlers = handlers;
    this.#endpoints = endpoints;
    this.#limitedLogger = limitedLogger;
    this.#diagnostics = diagnostics;
    this.#getNative = getNative;
    const isClosing = () => this.#closing;
    this.#onResponseClosed = function onResponseClosed() {
      const { socket } = this.req;
      const unanswered = socket[UNANSWERED];
      if (unanswered[0] === this) unanswered.shift();
      else if (unanswered.includes(this)) unanswered.splice(unanswered.indexOf(this), 1);
      if (isClosing()) socket.destroySoon();
      if (unanswered.length === 0) socket[ON_ANSWERED]?.();
    };
    const complain = (req, thrown) => this.#complain(req, thrown);
    // Such as a write after the end. Without a listener it would be an uncaught exception.
    this.#onResponseError = function onResponseError(error) {
      complain(this.req, error);
    };
    this.#onSocketError = function onSocketError(error) {
      const limit = exceededLimit(error, this[UNANSWERED].length > 0);
      if (limit !== undefined) metrics.limitHit(limit);
    };
    this.#endpointSockets = new EndpointSockets({
      maxPayload: limits.maxMessageBytes,
      limitedLogger,
      diagnostics,
      metrics,
    });
    this.#server = http.createServer({
      ...httpOptions(limits),
      // Where Node knows of it (24.9), it may read a body before it hands the socket over. So requests for other
      // upgrades that have one are left to it.
      shouldUpgradeCallback: (req) => asksForWebSocket(req) || !hasBody(req),
    });
    // A head has a limit of its own, and what is beyond one of their number is left out without a word.
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', (req, res) => this.#onRequest(req, res));
    this.#server.on('upgrade', (req, socket, head) => this.#onUpgrade(req, socket, head));
    this.#server.on('error', (error) => limitedLogger.error('HTTP server error', { error: describeError(error) }));
    // The server keeps track of its connections, for its timeouts, only from this event on.
    this.#server.emit('listening');
  }

  /**
   * Serves the connection that the native side has under a number, and what was read of it. `peer` is for `showPeer`,
   * if it is needed.
   */
  acceptNumbered(number, head, peer) {
    const fd = this.#getNative().takeSocket(number);
    // The native side has closed them all.
    if (typeof fd !== 'number') return;
    let socket;
    try {
      socket = new net.Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
    } catch (error) {
      this.#getNative().returnSocket(number);
      this.#limitedLogger.error('HTTP server error', { error: describeError(error) });
      return;
    }
    this.#getNative().confirmSocket(number);
    if (peer !== undefined) {
      showPeer(socket, ...peer);
      noticeLoss(socket, number, this.#getNative());
      socket[NUMBER] = number;
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
    // An array: there is mostly one, and a Set makes itself anew after every few of them.
    socket[UNANSWERED] = [];
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty();
    });
    // Without a listener an error before or after the http server looks after it would be an uncaught exception.
    socket.on('error', this.#onSocketError);
    this.#server.emit('connection', socket);
  }

  /** Lets requests end and endpoint sockets say goodbye, then cuts what is left after `graceMs`: returns whether any is. */
  async close(graceMs) {
    this.#closing = true;
    this.#endpointSockets.sayGoodbye();
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
    const isLate = this.#sockets.size > 0;
    for (const socket of this.#sockets) socket.destroy();
    return isLate;
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
    const { socket } = req;
    if (socket[PASSED_OVER] !== undefined) restoreWish(req, socket);
    socket[UNANSWERED].push(res);
    res.on('close', this.#onResponseClosed);
    res.on('error', this.#onResponseError);
    this.#offer(req, res, 0, false);
  }

  /**
   * Asks the handlers, from the `next`-th on, until one has handled the request.
   *
   * Most handlers answer before they return. Nothing is then left to ask, and their promise is only looked after: an
   * async function around each request, with an `await`, would be a tenth of what Node takes for all of it.
   */
  #offer(req, res, next, someoneThrew) {
    const handlers = this.#handlers;
    let hasThrown = someoneThrew;
    for (let i = next; i < handlers.length; i += 1) {
      let handled;
      let promise;
      try {
        handled = handlers[i](req, res);
        if (typeof handled?.then === 'function') promise = Promise.resolve(handled);
      } catch (thrown) {
        handled = false;
        hasThrown = true;
        this.#onThrown(req, thrown);
      }
      if (isAnswered(res)) {
        promise?.then(undefined, (thrown) => this.#onThrown(req, thrown));
        return;
      }
      if (promise !== undefined) {
        const goOn = (threw) => {
          if (!isAnswered(res)) this.#offer(req, res, i + 1, threw);
        };
        promise.then(
          (result) => {
            if (!result) goOn(hasThrown);
          },
          (thrown) => {
            this.#onThrown(req, thrown);
            goOn(true);
          },
        );
        return;
      }
      if (handled) return;
    }
    this.#answer(req, res, hasThrown);
  }

  /** Answers a request that no handler has handled. */
  #answer(req, res, hasThrown) {
    const body = JSON.stringify({ error: hasThrown ? 'Internal server error' : 'Not found' });
    try {
      // The length too: a handler that declined may have set another.
      res.writeHead(hasThrown ? 500 : 404, { 'Content-Type': 'application/json', 'Content-Length': body.length });
      res.end(body);
    } catch (thrown) {
      // A handler may have replaced methods of the response, as middleware does.
      this.#complain(req, thrown);
      res.destroy();
    }
  }

  /** A handler has thrown, or rejected. */
  #onThrown(req, thrown) {
    this.#diagnostics.threw(thrown, 'HTTP handler');
    this.#complain(req, thrown);
  }

  #complain(req, thrown) {
    this.#limitedLogger.error('HTTP handler error', { error: describeError(thrown), url: req.url });
  }

  /** Serves a request that asks for an upgrade, when those before it on its connection are answered. */
  #onUpgrade(req, socket, head) {
    if (socket !== req.socket) {
      this.#refuseBody(req);
      return;
    }
    // Node's server would let a socket flow that it has paused, when what waits to be sent has left: into nothing.
    socket._paused = false;
    const serve = asksForWebSocket(req) ? this.#serveWebSocket : this.#serveWithoutUpgrade;
    if (socket[UNANSWERED].length === 0) {
      serve.call(this, req, socket, head);
      return;
    }
    if (head.length > 0) socket.unshift(head);
    this.#whenAnswered(socket, () => serve.call(this, req, socket, Buffer.alloc(0)));
  }

  /** Refuses a WebSocket whose request has a body: Node passes something else than the socket until that is read. */
  #refuseBody({ method, socket }) {
    const refuse = () => {
      const status = method === 'GET' ? '400 Bad Request' : '405 Method Not Allowed';
      if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroySoon();
    };
    if (socket[UNANSWERED].length === 0) refuse();
    else socket[ON_ANSWERED] = refuse;
  }

  /** Does for the responses of a socket, until all of them are ended, what Node's server does no more. */
  #whenAnswered(socket, proceed) {
    const unanswered = socket[UNANSWERED];
    const onDrain = () => {
      const [res] = unanswered;
      if (res.writableNeedDrain) res.emit('drain');
    };
    const responses = [...unanswered];
    const onClose = () => {
      for (const res of responses) if (!res.writableFinished) res.req.destroy();
    };
    socket.on('drain', onDrain);
    socket.on('close', onClose);
    socket[ON_ANSWERED] = () => {
      socket[ON_ANSWERED] = undefined;
      socket.off('drain', onDrain);
      socket.off('close', onClose);
      if (!socket.destroyed) proceed();
    };
    // So that a peer that is gone is noticed meanwhile. Not `read`: Node's server may have stopped the reading behind
    // the stream's back, which believes that it goes on.
    socket._read(0);
  }

  #serveWebSocket(req, socket, head) {
    // It is being closed, or the answer before said that it would be.
    if (this.#closing || !socket.writable) {
      socket.destroySoon();
      return;
    }
    // The only one of the protocols asked for that is looked at.
    req.headers.upgrade = 'websocket';
    const path = pathOf(req.url);
    const endpoint = this.#endpoints.get(path);
    if (endpoint !== undefined) {
      this.#endpointSockets.accept(path, endpoint, req, socket, head);
    } else if (req.method === 'GET') {
      this.#returnToWorkers(req, socket, head);
    } else {
      this.#endpointSockets.refuseMethod(req, socket, head);
    }
  }

  /**
   * Serves a request that asks for an upgrade to what there is not, such as HTTP/2, as any other. Node's server would
   * do so by itself if it had no `upgrade` listener, but for the requests behind it, which it would lose.
   */
  #serveWithoutUpgrade(req, socket, head) {
    if (this.#closing || !socket.writable) {
      socket.destroySoon();
      return;
    }
    socket.unshift(Buffer.concat([headWithoutUpgrade(req), head]));
    socket[PASSED_OVER] = req;
    this.#server.emit('connection', socket);
  }

  /** A worker that came on a connection which had served other requests, as some proxies have it. */
  #returnToWorkers(req, socket, head) {
    const fd = socket._handle?.fd ?? -1;
    try {
      this.#getNative().takeBack(fd, Buffer.concat([headOf(req), head, ...readOut(socket)]), socket[NUMBER]);
      // Closes only this side's descriptor: the connection lives on in the other.
      socket.destroy();
    } catch (error) {
      this.#limitedLogger.error('HTTP server error', { error: error.message });
      socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    }
  }
}

/** What was read of a socket and is not taken yet: in one piece or in several, which depends on Node's version. */
function readOut(socket) {
  const chunks = [];
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk);
  return chunks;
}

/** Lets a request that came again without its wish for an upgrade show it. */
function restoreWish(req, socket) {
  const asked = socket[PASSED_OVER];
  socket[PASSED_OVER] = undefined;
  // It may have been refused before it came here, and this be the next one.
  if (req.method !== asked.method || req.url !== asked.url || req.rawHeaders.length !== asked.rawHeaders.length) return;
  req.rawHeaders = asked.rawHeaders;
  req.headers.connection = asked.headers.connection;
}

module.exports = { HttpFront };
