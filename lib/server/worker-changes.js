'use strict';

const { DRAINING_CHANGED, DRAINS } = require('../native/abi.js');

/** What a worker may say of itself, and the application of it. */
const STATUSES = new Set(['available', 'draining']);

/** Workers that change while they are registered: they drain, or can do something else than before. */
class WorkerChanges {
  #native;
  #readRow;
  #host;
  #handlers;
  #metrics;

  constructor({ native, readRow, host, handlers, metrics }) {
    this.#native = native;
    this.#readRow = readRow;
    this.#host = host;
    this.#handlers = handlers;
    this.#metrics = metrics;
  }

  /** Handles a message if it is a worker's about itself. */
  handle(record, message) {
    if (message.type === 'worker_status') this.#onStatus(record, message);
    else if (message.type === 'worker_update') this.#onUpdate(record, message);
    else return false;
    return true;
  }

  #onStatus(record, { type, status, reason }) {
    if (!STATUSES.has(status)) {
      this.#host.limitedLogger.warn('Malformed answer from worker', { workerId: record.id, type, field: 'status' });
      return;
    }
    const isChange = this.#drain(record, false, status === 'draining');
    const holds = record.drains ? 'draining' : 'available';
    this.#host.send(record, `{"type":"worker_status_ack","status":"${holds}"}`);
    if (isChange) this.#onStatusChanged(record, typeof reason === 'string' ? reason : undefined);
  }

  /** The application wants a worker to drain, or no longer does. */
  setStatus(record, status) {
    if (this.#drain(record, true, status === 'draining')) this.#onStatusChanged(record);
  }

  /**
   * Sets or takes away one of the two marks. Returns whether the worker drains now and did not, or the other way round.
   */
  #drain(record, isByApplication, drains) {
    const result = this.#native.setDraining(record.key, isByApplication, drains);
    record.update(this.#readRow(), 0);
    record.drains = (result & DRAINS) !== 0;
    return (result & DRAINING_CHANGED) !== 0;
  }

  #onStatusChanged(record, reason) {
    const status = record.drains ? 'draining' : 'available';
    this.#host.limitedLogger.debug('Worker status changed', { workerId: record.id, status, reason });
    this.#tell(record, 'status');
  }

  #onUpdate(record, { capabilities }) {
    const categories = [...record.categoryActiveRequests];
    const error = this.#native.updateCapabilities(
      record.key,
      JSON.stringify({ capabilities }),
      categories.map(([category]) => category),
      categories.map(([, active]) => active),
    );
    if (error !== null) {
      this.#host.send(record, `{"type":"worker_update_ack","success":false,"error":${JSON.stringify(error)}}`);
      return;
    }
    this.#metrics.forgetLabels();
    record.setCapabilities(capabilities);
    record.update(this.#readRow(), 0);
    this.#host.onCapabilities(record);
    this.#host.send(record, '{"type":"worker_update_ack","success":true}');
    this.#host.limitedLogger.debug('Worker capabilities changed', { workerId: record.id });
    this.#tell(record, 'capabilities');
  }

  /** Slots that have become free are given away before handlers see the change. */
  #tell(record, change) {
    this.#host.dispatcher.dispatch();
    // A callback of a request may have stopped the server.
    if (!this.#host.isStopping) this.#handlers.updated(() => record.toInfo(), change, this.#host.limitedLogger);
  }
}

module.exports = { STATUSES, WorkerChanges };
