'use strict';

const { ROW_FIELDS } = require('../native/abi.js');
const { RESUME, sharedFeatures } = require('../requests/wire.js');
const { toConnectionInfo } = require('./connection-info.js');
const { WorkerRecord } = require('./worker-record.js');

/** A close frame with this code is a goodbye: a worker that sends it does not come back to go on. */
const NORMAL_CLOSURE = 1000;

// As it was when this was loaded: tests replace it.
const { parse: parseJson } = JSON;

/** The workers of a running server: how they come into it, and how they leave. */
class WorkerRegistry {
  #server;
  #door;
  #native;
  #readRow;
  #submissions;
  #tracked;
  #sessions;
  #handlers;
  #lifecycle;
  #limitedLogger;
  #metrics;
  /** Registered workers by key, in the order of their registration, by id, and by connection. */
  #workers = new Map();
  #byId = new Map();
  #byPeer = new Map();
  /** Connections that were let stay though they did not register. */
  #kept = new Set();
  /**
   * Connections that have registered with the feature `request`: what it brought with it is the server's there for
   * good.
   */
  #speakers = new Set();

  /**
   * @param server `stopping`, `giveSlots()`, `tellDraining(record)`, `fleet` and `onLess()`, which is called when less
   *   may be under way
   * @param {() => Float64Array} readRow returns the state of one worker, as the native side has written it last
   * @param limitedLogger for lines that any peer can cause
   */
  constructor({
    server,
    door,
    native,
    readRow,
    submissions,
    tracked,
    sessions,
    handlers,
    lifecycle,
    limitedLogger,
    metrics,
  }) {
    this.#server = server;
    this.#door = door;
    this.#native = native;
    this.#readRow = readRow;
    this.#submissions = submissions;
    this.#tracked = tracked;
    this.#sessions = sessions;
    this.#handlers = handlers;
    this.#lifecycle = lifecycle;
    this.#limitedLogger = limitedLogger;
    this.#metrics = metrics;
  }

  /** The record of the worker with an id. */
  get(workerId) {
    return this.#byId.get(workerId);
  }

  /** Whence the connection of a worker came; null if there is no such worker. */
  connectionInfo(workerId) {
    const record = this.#byId.get(workerId);
    const info = record === undefined ? null : this.#native.connectionInfo(record.peer);
    return info === null ? null : toConnectionInfo(info);
  }

  /** The record of a connection's worker. */
  ofPeer(peer) {
    return this.#byPeer.get(peer);
  }

  /** All records, in the order of their registration. */
  values() {
    return this.#workers.values();
  }

  /**
   * Whether a connection has registered with the feature `request`, be it that its worker has been replaced meanwhile.
   */
  isSpeaker(peer) {
    // In most fleets there are none.
    return this.#speakers.size > 0 && this.#speakers.has(peer);
  }

  /** A handler took a message of a connection that has not registered: it may stay. */
  keepUnregistered(peer) {
    if (this.#kept.has(peer)) return;
    this.#kept.add(peer);
    this.#native.keepUnregistered(peer);
  }

  /** The server stops: all workers are gone. */
  clear() {
    this.#door.clear();
    this.#workers.clear();
    this.#byId.clear();
    this.#byPeer.clear();
    this.#speakers.clear();
  }

  // ---- What the native side writes ----

  /** The infos of all workers. */
  infos() {
    const rows = this.#native.workers();
    const infos = [];
    for (let at = 0; at < rows.length; at += ROW_FIELDS) {
      const record = this.#workers.get(rows[at]);
      record?.update(rows, at);
      if (record !== undefined) infos.push(record.toInfo());
    }
    return infos;
  }

  /** Brings the record of the worker whose state is in `rows` from `at` on up to date. */
  update(rows, at) {
    this.#workers.get(rows[at])?.update(rows, at);
  }

  /** The record of the worker whose row was written last, as it is. */
  recordOfRow() {
    return this.#workers.get(this.#readRow()[0]);
  }

  /** The record of the worker whose row was written, brought up to date. */
  readRecord() {
    const row = this.#readRow();
    const record = this.#workers.get(row[0]);
    record?.update(row, 0);
    return record;
  }

  // ---- Coming and leaving ----

  /** Token and fields of a registration are right: it is settled, at once or when the application has approved it. */
  onRegister(peer, text) {
    const message = parseJson(text);
    if (this.#door.judges) this.#door.judge(peer, message);
    else this.#settle(peer, message);
  }

  /** It is the turn of a registration that the application has approved. */
  onApproved(peer) {
    const approved = this.#door.take(peer);
    if (approved !== undefined) this.#settle(peer, approved.message, approved);
  }

  /** Whom a registration displaces leaves, then the worker is there, unless it has to give way. */
  #settle(peer, message, { credentials, auth } = {}) {
    if (this.#door.givesWay(peer, message, () => this.#rivalOf(peer), credentials)) return;
    const { workerId, capabilities, features: named, resume } = message;
    // What was sent to the worker's old session comes before the answer to the new one.
    this.#submissions.cross();
    for (const record of this.#displace(peer)) {
      const staysOpen = record.formerPeer === peer;
      const leave = () => this.#sessions.onLost(record, !staysOpen && !record.isDismissed);
      this.#lifecycle.displace(record.id, record, leave, staysOpen);
    }
    const features = sharedFeatures(named, this.#sessions.offersResume);
    const plan = this.#planOf(workerId, features, resume);
    // A handler may have stopped the server.
    const registered = this.#server.stopping ? null : this.#native.register(peer, features.length > 0, plan.members);
    if (registered === null) return;
    this.#metrics.forgetLabels();
    const record = new WorkerRecord(peer, registered, capabilities, features, this.#readRow(), auth);
    this.#workers.set(record.key, record);
    this.#byId.set(record.id, record);
    this.#byPeer.set(peer, record);
    this.#kept.delete(peer);
    if (record.speaksRequests) this.#speakers.add(peer);
    this.#lifecycle.registered({
      workerId: record.id,
      workerName: record.name,
      models: capabilities.models.map((model) => model.modelId),
      maxConcurrentRequests: capabilities.maxConcurrentRequests,
    });
    this.#sessions.onRegistered(record, plan.resumed);
    this.#server.fleet?.owner.onWorkerJoined(record);
    this.#server.giveSlots();
    // A callback of a request may have stopped the server, too.
    if (this.#server.stopping) return;
    this.#server.tellDraining(record);
    this.#handlers.connected(() => record.toInfo());
  }

  /** The worker that a registration would displace from another connection, if it can be reached. */
  #rivalOf(peer) {
    return this.#native.rival(peer) ? this.readRecord() : undefined;
  }

  /** What the ack of a registration says beyond that of 1.0.12, and which requests go on. */
  #planOf(workerId, features, resume) {
    if (features.length === 0) return { members: '', resumed: [] };
    const members = `,"features":${JSON.stringify(features)}`;
    if (!features.includes(RESUME) || resume === undefined) return { members, resumed: [] };
    const plan = this.#sessions.plan(workerId, resume);
    return { members: members + plan.members, resumed: plan.resumed };
  }

  /** The records of the workers that leave since a peer registers. */
  #displace(peer) {
    const rows = this.#native.displace(peer);
    const records = [];
    for (let at = 0; at < rows.length; at += ROW_FIELDS) {
      const record = this.#workers.get(rows[at]);
      record.update(rows, at);
      this.#remove(record);
      records.push(record);
    }
    return records;
  }

  /** A connection is gone, and its worker with it. */
  onClosed(peer, code, reason) {
    this.#door.onClosed(peer);
    this.#kept.delete(peer);
    this.#speakers.delete(peer);
    const record = this.#byPeer.get(peer);
    const departed = this.#native.depart(peer);
    if (record === undefined) {
      this.#limitedLogger.debug('Unregistered WebSocket connection closed', { code, reason });
      return;
    }
    if (departed) record.update(this.#readRow(), 0);
    this.#remove(record);
    this.#sessions.onLost(record, code !== NORMAL_CLOSURE && !record.isDismissed);
    this.#lifecycle.disconnected(record.id, record, { code, reason });
  }

  #remove(record) {
    this.#workers.delete(record.key);
    this.#byId.delete(record.id);
    this.#byPeer.delete(record.peer);
    record.formerPeer = record.peer;
    record.peer = null;
    this.#tracked.forget(record);
    this.#server.fleet?.owner.onWorkerLeft(record);
    this.#server.onLess();
  }
}

module.exports = { WorkerRegistry };
