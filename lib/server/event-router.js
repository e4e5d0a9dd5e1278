'use strict';

const {
  TEXTS,
  MESSAGE,
  REGISTER,
  CLOSED,
  CONNECTION,
  SECURE_CONNECTION,
  LOG,
  STOPPED,
  SLOTS,
  BARRIER,
  APPROVED,
} = require('./event-batch.js');
const { parse } = require('./joined-texts.js');
const { levels: LEVELS } = require('../native/abi.js');
const { ANSWER_TYPES } = require('../requests/wire.js');
const { describeError, writeLine } = require('../workers/handlers.js');
const { unknownWorkerInfo } = require('../workers/worker-info.js');

/** What a worker with the feature `request` says to the server, and to no handler. */
const SERVER_TYPES = new Set([...ANSWER_TYPES, 'worker_status', 'worker_update']);

/**
 * Passes each event of the native side to the part of a running server that handles its kind, and each message of a
 * worker to the server's own parts or to the application's handlers.
 */
class EventRouter {
  #server;
  #eventLoop;
  #registry;
  #changes;
  #host;
  #front;
  #handlers;
  #onStopped;

  /**
   * @param server `stopping` and `giveSlots()`
   * @param host the `RequestHost`, whose loggers are the server's
   * @param {() => void} onStopped called when the native side has let go of its last connection
   */
  constructor({ server, eventLoop, registry, changes, host, front, handlers, onStopped }) {
    this.#server = server;
    this.#eventLoop = eventLoop;
    this.#registry = registry;
    this.#changes = changes;
    this.#host = host;
    this.#front = front;
    this.#handlers = handlers;
    this.#onStopped = onStopped;
  }

  /** Handles the event of that kind that was taken last from the batch. */
  handle(kind, batch) {
    const isStopping = this.#server.stopping;
    if (kind === TEXTS) {
      if (isStopping) return;
      if (batch.isNextChunk && batch.message !== undefined) this.#onNextChunk(batch);
      else this.#onMessage(batch.peer, batch.message, batch);
      return;
    }
    const { peer, a, b, extras } = batch;
    switch (kind) {
      case MESSAGE:
        if (!isStopping) this.#onMessage(peer, parse(extras[a]), batch);
        break;
      case REGISTER:
        if (!isStopping) this.#registry.onRegister(peer, extras[a]);
        break;
      case CLOSED:
        if (!isStopping) this.#registry.onClosed(peer, a, extras[b]);
        break;
      case CONNECTION:
        this.#front.acceptNumbered(a, extras[b]);
        break;
      case SECURE_CONNECTION:
        this.#front.acceptNumbered(a, extras[b], certifiedPeer(extras, b + 1));
        break;
      case LOG:
        writeLine(this.#host.logger, LEVELS[a], extras[b], extras[b + 1]);
        break;
      case STOPPED:
        this.#onStopped();
        break;
      case SLOTS:
        if (!isStopping) this.#server.giveSlots();
        break;
      case APPROVED:
        if (!isStopping) this.#registry.onApproved(peer);
        break;
      case BARRIER:
        if (!isStopping) this.#eventLoop.onBarrier(a);
        break;
    }
  }

  /** Something went wrong with an event of that kind, or, if it is undefined, before there was an event. */
  complain(kind, thrown) {
    const context = { error: describeError(thrown) };
    if (kind === CONNECTION || kind === SECURE_CONNECTION) this.#host.logger.error('HTTP server error', context);
    else this.#host.logger.error('Worker WebSocket error', context);
  }

  #onNextChunk(batch) {
    const record = this.#registry.ofPeer(batch.peer);
    if (record !== undefined && this.#host.takeNextChunk(record, batch)) return;
    this.#onMessage(batch.peer, batch.wholeChunk(), batch);
  }

  /** @param source What the message came in: its `byteLength` and `text` count while the message is being handled. */
  #onMessage(peer, message, source) {
    const { limitedLogger } = this.#host;
    if (message === undefined) {
      limitedLogger.warn('Invalid JSON message from worker');
      return;
    }
    const record = this.#registry.ofPeer(peer);
    if (this.#isForServer(peer, record, message, source)) return;
    const getInfo = () => record?.toSharedInfo() ?? unknownWorkerInfo();
    const taken = this.#handlers.message(message, getInfo, limitedLogger);
    if (taken && record === undefined) this.#registry.keepUnregistered(peer);
  }

  /** Handles a message if it is about requests, or about the worker itself. */
  #isForServer(peer, record, message, source) {
    if (record !== undefined && this.#host.handle(record, message, source)) return true;
    if (!this.#registry.isSpeaker(peer)) return false;
    if (record?.speaksRequests === true) return this.#changes.handle(record, message);
    // Its worker was replaced, or registered again without the feature.
    return SERVER_TYPES.has(message.type);
  }
}

/** Whose a connection is, from the text at that place of the extras, and the certificates behind it. */
function certifiedPeer(extras, at) {
  const peer = JSON.parse(extras[at]);
  return [peer, extras.slice(at + 1, at + 1 + peer.security.certificates)];
}

module.exports = { EventRouter };
