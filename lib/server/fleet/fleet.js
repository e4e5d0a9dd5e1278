'use strict';

const { randomBytes } = require('node:crypto');
const { ClusterNode } = require('../../cluster/node.js');
const { now } = require('../../time/clock.js');
const native = require('../../native/addon.js');
const { statuses: STATUSES } = require('../../native/abi.js');
const { demandText } = require('../request-slots.js');
const { Broker } = require('./broker.js');
const { notesOf } = require('./fleet-notes.js');
const { Origin } = require('./origin.js');
const { Owner } = require('./owner.js');
const { WaitingHere } = require('./waiting-here.js');

/** What a worker's connection is closed with whose id has come again. */
const REPLACED = Object.freeze({ code: 4003, reason: 'Replaced by new connection' });

/**
 * A running server's part in a fleet of several: the state machine of `lib/cluster/`, with this server's requests and
 * workers on the one side of it and a broker on the other. Without the option `cluster` there is none.
 */
class Fleet {
  #node;
  #broker;
  #origin;
  #owner;
  #waitingHere;
  #server;
  #native;
  #metrics;
  #host;
  #remoteWorkers = new native.NativeRemoteWorkers();

  /**
   * @param server `disconnectWorker(workerId, code, reason)`
   * @param options the server's: `cluster` as its reader returns it, `requestTypes`, `limits`
   */
  constructor({ server, nativeServer, host, registry, tracked, metrics, options }) {
    const { cluster, requestTypes, limits } = options;
    this.#server = server;
    this.#native = nativeServer;
    this.#metrics = metrics;
    this.#host = host;
    const { logger, slots, dispatcher } = host;
    this.#waitingHere = new WaitingHere(slots);
    const start = randomBytes(8).toString('hex');
    const settings = { ...cluster, start, makeNonce: () => randomBytes(12).toString('base64url') };
    this.#node = new ClusterNode(settings, this.#local(logger));
    this.#broker = new Broker({ node: this.#node, adapter: cluster.adapter, timeoutMs: cluster.timeoutMs, logger });
    this.#owner = new Owner({
      fleet: this,
      host,
      node: this.#node,
      registry,
      tracked,
      waitingHere: this.#waitingHere,
      options: { takesObjects: requestTypes !== undefined, maxStreamBytes: limits.maxStreamBytes },
    });
    this.#origin = new Origin({
      fleet: this,
      dispatcher,
      slots,
      node: this.#node,
      remoteWorkers: this.#remoteWorkers,
      preferLocal: cluster.preferLocal,
      takeChunk: (request, data, source) => host.takeChunk(request, data, source),
      metrics,
    });
  }

  /** What the state machine asks of this server. */
  #local(logger) {
    const remote = this.#remoteWorkers;
    const owner = () => this.#owner;
    return {
      directory: {
        add: (nodeId, { id, capabilities, takes }) => {
          const invalid = remote.add(nodeId, id, JSON.stringify(capabilities), takes);
          if (invalid === null) this.#metrics.learnModels(capabilities.models.map(({ modelId }) => modelId));
        },
        remove: (nodeId, id) => remote.remove(nodeId, id),
        setState: (nodeId, id, [status, active, ...limited]) => remote.setState(nodeId, id, status, active, limited),
        forget: (nodeId) => remote.forget(nodeId),
      },
      stateOf: (workerId) => owner().stateOf(workerId),
      totals: () => owner().totals(),
      evict: (workerId) => owner().evict(workerId),
      onWorkerElsewhere: (workerId) => this.#host.sessions.endFor(workerId),
      host: (claim, payloadText, hosted, kept) => owner().host(claim, payloadText, hosted, kept),
      onSaid: () => this.flush(),
      cancelHosted: (hosted, reason) => owner().cancelHosted(hosted, reason),
      wants: (most) => this.#waitingHere.wants(most),
      setWant: (nodeId, want) => owner().setWant(nodeId, want),
      clearWants: (nodeId, except) => owner().clearWants(nodeId, except),
      releaseSlot: (slot) => owner().releaseSlot(slot),
      takeOffer: (nodeId, offer) => this.#takeOffer(nodeId, offer),
      onRoom: (nodeId) => this.#origin.onRoom(nodeId, this.#waitingHere.rejected),
      onDropped: (reason) => this.#metrics.clusterDropped(reason),
      onNodeJoined: (nodeId) => logger.debug('Cluster node joined', { nodeId }),
      onNodeLeft: (nodeId) => {
        this.#origin.forgetDeclines(nodeId);
        logger.debug('Cluster node left', { nodeId });
      },
      onConnectionLost: () => logger.warn('Cluster connection lost'),
      onOtherVersion: () => logger.warn('Cluster message of another version'),
    };
  }

  /** Resolves when this node is one of the fleet. */
  start() {
    return this.#broker.start();
  }

  /** It says goodbye. What was said before leaves first. */
  stop() {
    return this.#broker.stop();
  }

  /** What was said leaves at the end of this turn. */
  flush() {
    this.#broker.flush();
  }

  info() {
    return this.#node.info(now());
  }

  // ---- For the requests of this server ----

  /** See `Origin`. */
  submit(request, submitHere) {
    this.#origin.submit(request, submitHere);
  }

  cancel(request, reason) {
    this.#origin.cancel(request, reason);
  }

  onForgotten(request) {
    this.#origin.onForgotten(request);
  }

  formerAttempt(requestId, workerId) {
    return this.#node.formerAttempt(requestId, workerId);
  }

  couldMeet(request) {
    return this.#origin.couldMeet(request);
  }

  onWait(request) {
    notesOf(request).declines = 0;
    this.#node.began(this.#waitingHere.add(request), now());
    this.flush();
  }

  onWaitEnd(request) {
    this.#waitingHere.delete(request);
  }

  /** Workers that rejected requests which wait here may get them again. */
  onWake() {
    for (const want of this.#waitingHere.wantsOfRejected()) this.#node.began(want, now());
    this.flush();
  }

  /** Whether something of other nodes waits for a slot of this server. */
  get hasWants() {
    return this.#owner.hasWants;
  }

  onGranted(ticket) {
    this.#owner.onGranted(ticket);
  }

  /** Other nodes get nothing more from this server. */
  onDraining() {
    this.#owner.dropWants();
  }

  #takeOffer(nodeId, { number, key, priority, workerId }) {
    const request = this.#waitingHere.firstFor(key, priority, workerId);
    if (request === undefined) return false;
    const { dispatcher } = this.#host;
    dispatcher.withdraw(request);
    if (this.#origin.claimOffered(request, nodeId, number)) return true;
    dispatcher.submit(request);
    return false;
  }

  /**
   * The worker of the whole fleet that an affinity prefers, as `{ node, workerId }`; `node` is `null` for one of this
   * server.
   */
  preferred(demand, affinity, avoid) {
    return this.#native.preferredInFleet(this.#remoteWorkers, demand, affinity, avoid);
  }

  /** How many slots of this server are free for a demand, without those of workers that it is to avoid. */
  freeHere(demand, avoid) {
    return this.#native.freeFor(demand, avoid);
  }

  /** @param options those of a request that say what it asks of a worker */
  explain(options) {
    return this.#explain(demandText(options.model, options, true), this.#host.slots.explain(options));
  }

  explainRequest(request) {
    const demand = this.#host.slots.demandTextOf(request);
    return this.#explain(demand, this.#host.slots.explainDemand(demand)).text;
  }

  /** The reasons of this server's workers, and those of all others behind them. */
  #explain(demand, own) {
    const { explanation, nodes } = this.#remoteWorkers.explain(
      demand,
      own.workers.map(({ id }) => id),
      own.workers.map(({ reason }) => reason),
    );
    const { text, ids, reasons } = explanation;
    const here = ids.length - nodes.length;
    const workers = ids.map((id, at) => ({
      id,
      takes: reasons[at] === 'free',
      reason: reasons[at],
      node: at < here ? this.#node.nodeId : nodes[at - here],
    }));
    return { text, workers };
  }

  // ---- For the workers of this server ----

  get unhealthy() {
    return STATUSES.indexOf('unhealthy');
  }

  placeOf(status) {
    return STATUSES.indexOf(status);
  }

  dismiss(record) {
    this.#server.disconnectWorker(record.id, REPLACED.code, REPLACED.reason);
  }

  /** The workers of all other nodes, as far as the gateway lists them. */
  remoteWorkers() {
    return Array.from(this.#node.workers.others(), ({ entry, state }) => ({
      status: STATUSES[state?.[0] ?? 0],
      capabilities: entry.capabilities,
      connectedAt: new Date(entry.connectedAt),
    }));
  }

  get owner() {
    return this.#owner;
  }
}

module.exports = { Fleet };
