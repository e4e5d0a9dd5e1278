'use strict';

const { now } = require('../../time/clock.js');
const { DONE, ELSEWHERE, HELD } = require('../../requests/request.js');
const { notesOf } = require('./fleet-notes.js');
const { RemoteWorker } = require('./remote-worker.js');

/** After how many refusals a request waits. */
const MAX_DECLINES = 3;

/** The requests of this server's callers that go to other nodes. */
class Origin {
  #fleet;
  #dispatcher;
  #slots;
  #node;
  #remoteWorkers;
  #preferLocal;
  #takeChunk;
  #metrics;
  /** What nodes have refused since their last heartbeat, as texts of demands, by node. */
  #declined = new Map();

  /**
   * @param fleet `preferred(demand, affinity, avoid)`, `freeHere(demand, avoid)` and `flush()`, after which what was said
   *   leaves
   * @param takeChunk takes a chunk of a stream in, as if it had come from a worker of this server
   */
  constructor({ fleet, dispatcher, slots, node, remoteWorkers, preferLocal, takeChunk, metrics }) {
    this.#fleet = fleet;
    this.#dispatcher = dispatcher;
    this.#slots = slots;
    this.#node = node;
    this.#remoteWorkers = remoteWorkers;
    this.#preferLocal = preferLocal;
    this.#takeChunk = takeChunk;
    this.#metrics = metrics;
  }

  // ---- Where a request goes ----

  /**
   * A request looks for a slot: first here, unless its affinity or the option says otherwise, then at another node
   * with room, then it waits here.
   *
   * @param {(mayWait: boolean) => boolean} submitHere false if there is no slot here now, and it may not wait
   */
  submit(request, submitHere) {
    const first = this.#goesFirstTo(request);
    if (first !== null && this.#claim(request, first)) return;
    const avoid = avoided(request);
    if (avoid.length === 0) {
      if (submitHere(false) || this.#claimAny(request, avoid)) return;
    } else if (this.#submitAgain(request, submitHere, avoid)) {
      return;
    }
    submitHere(true);
  }

  /** A worker that had it gets it again only if no other of the fleet has room, and who had it last comes last. */
  #submitAgain(request, submitHere, avoid) {
    const demand = this.#slots.demandTextOf(request);
    const pausing = paused(request);
    const last = request.lastRecord === null ? [] : [request.lastRecord.id];
    for (const not of [avoid, [...pausing, ...last], pausing]) {
      if (this.#fleet.freeHere(demand, not) > 0 && submitHere(false)) return true;
      if (this.#claimAny(request, not)) return true;
    }
    return false;
  }

  /** A node has said how much room it has: what waits here and was rejected elsewhere may find some there. */
  onRoom(nodeId, rejected) {
    this.forgetDeclines(nodeId);
    for (const request of rejected) {
      if (request.ticket === null || this.#roomsFor(request, avoided(request)).length === 0) continue;
      this.#dispatcher.withdraw(request);
      this.#dispatcher.submit(request);
    }
  }

  /** It goes to another node, if one has room on workers that it needn't avoid. */
  #claimAny(request, avoid) {
    const rooms = this.#roomsFor(request, avoid);
    return rooms.length > 0 && this.#claim(request, freerOfTwo(rooms));
  }

  /** The nodes with room for a request, as far as their heartbeats and their refusals show. */
  #roomsFor(request, avoid) {
    if (notesOf(request).declines >= MAX_DECLINES) return [];
    const demand = this.#slots.demandTextOf(request);
    const rooms = this.#remoteWorkers.rooms(demand, avoid);
    return rooms.filter(({ node }) => !this.#declined.get(node)?.has(demand));
  }

  /** Where a request goes before a slot here is looked at, as `{ node, workerId? }`, or `null`. */
  #goesFirstTo(request) {
    const { affinity } = request.options;
    if (notesOf(request).declines >= MAX_DECLINES || (affinity === undefined && this.#preferLocal)) return null;
    const demand = this.#slots.demandTextOf(request);
    const avoid = avoided(request);
    if (affinity !== undefined) {
      const choice = this.#fleet.preferred(demand, affinity, avoid);
      return typeof choice?.node === 'string' ? choice : null;
    }
    const rooms = this.#roomsFor(request, avoid);
    if (rooms.length === 0) return null;
    const own = { node: null, free: this.#fleet.freeHere(demand, avoid) };
    const chosen = freerOfTwo(own.free > 0 ? [own, ...rooms] : rooms);
    return chosen.node === null ? null : chosen;
  }

  /** Whether a request could ever be met at another node. */
  couldMeet(request) {
    return this.#remoteWorkers.couldMeet(this.#slots.demandTextOf(request));
  }

  // ---- Elsewhere ----

  /** Asks a node to take a request. False if the node is gone. */
  #claim(request, { node: nodeId, workerId }, offer) {
    const forward = this.#node.claim(
      nodeId,
      claimOf(request, workerId, offer),
      request.payloadText,
      this.#listenerFor(request, nodeId),
    );
    if (forward === null) return false;
    notesOf(request).forward = forward;
    request.state = ELSEWHERE;
    request.stateEndsAt = Infinity;
    // Until its node has said otherwise, it may be on a worker.
    request.attempt += 1;
    request.attempts += 1;
    request.updateTraceContext();
    request.nextSeq = 0;
    this.#dispatcher.schedule(request);
    this.#fleet.flush();
    return true;
  }

  /** A request that waits here gets a slot that another node has kept for it. */
  claimOffered(request, nodeId, number) {
    return this.#claim(request, { node: nodeId }, number);
  }

  /** Nothing of a request is under way any more. */
  onForgotten(request) {
    const { formerNodes } = request.fleetNotes;
    if (formerNodes === null) return;
    this.#node.over(request.requestId, formerNodes);
    this.#fleet.flush();
  }

  cancel(request, reason) {
    this.#node.cancel(request.fleetNotes.forward, reason);
    this.#fleet.flush();
  }

  #listenerFor(request, nodeId) {
    const dispatcher = this.#dispatcher;
    const workerOf = (state) => new RemoteWorker(state, this.#node.workers.entryOf(nodeId, state.id));
    return {
      onTaken: (state, attempt) => {
        this.#metrics.sent(request.model, request.sentSince, now() - request.beganAt);
        request.fleetNotes.declines = 0;
        request.attempt = attempt;
        request.record = workerOf(state);
        request.lastRecord = request.record;
        request.updateTraceContext();
        if (request.options.onStarted === undefined) return;
        dispatcher.call(request, 'onStarted', request.record.toInfo(), request.attempt);
      },
      onProgress: (text, isWhole) => dispatcher.call(request, 'onProgress', read(text, isWhole, 'data')),
      onChunk: (text, isWhole, byteLength) => {
        if (request.isStream) this.#takeChunk(request, read(text, isWhole, 'data'), { byteLength });
      },
      onAway: () => {
        request.record = null;
      },
      onBack: (state) => {
        request.record = workerOf(state);
      },
      onDeclined: (why) => {
        this.#leave(request);
        request.attempt -= 1;
        request.attempts -= 1;
        request.updateTraceContext();
        if (why === 'duplicate') {
          const message = `A request with the id ${request.idText} is under way at the node of its worker`;
          dispatcher.fail(request, dispatcher.error(request, 'DUPLICATE_ID', message));
          return;
        }
        request.fleetNotes.declines += 1;
        this.#noteDecline(nodeId, this.#slots.demandTextOf(request));
        dispatcher.submit(request);
      },
      onRejected: (workerId) => {
        this.#leave(request);
        hasFormerAt(request, nodeId);
        dispatcher.sendOn(request, workerId);
      },
      onResult: (text, isWhole) => {
        this.#leave(request);
        dispatcher.succeed(request, read(text, isWhole, 'data'));
      },
      onError: ({ code, message, isRetryable }, text, isWhole) => {
        this.#leave(request);
        const error = dispatcher.error(request, code, message, read(text, isWhole, 'error'));
        if (isRetryable && request.attempts < request.options.maxAttempts) hasFormerAt(request, nodeId);
        if (isRetryable) dispatcher.retry(request, error);
        else dispatcher.fail(request, error);
      },
      onFreed: (hadEnded) => {
        // That node has taken it for one that goes on.
        if (hadEnded) hasFormerAt(request, nodeId);
        if (request.state === HELD) dispatcher.forget(request);
      },
      onLost: () => {
        this.#leave(request);
        dispatcher.retry(request, dispatcher.error(request, 'WORKER_LOST', 'The node of the worker was lost'));
      },
    };
  }

  #leave(request) {
    request.fleetNotes.forward = null;
    request.record = null;
    if (request.state === DONE) throw new Error(`the request ${request.requestId} has ended already`);
  }

  #noteDecline(nodeId, demand) {
    let demands = this.#declined.get(nodeId);
    if (demands === undefined) {
      demands = new Set();
      this.#declined.set(nodeId, demands);
    }
    demands.add(demand);
  }

  /** A node has said anew how much room it has, or is gone. */
  forgetDeclines(nodeId) {
    this.#declined.delete(nodeId);
  }
}

/** Whether somebody may look at the worker that a request gets: as a stream's `worker`, or from a callback. */
const isWatched = ({ isStream, options: { onStarted, onProgress } }) =>
  isStream || onStarted !== undefined || onProgress !== undefined;

/** The data of a worker's message. */
function read(text, isWhole, member) {
  if (text === undefined) return undefined;
  const message = JSON.parse(text);
  return isWhole ? message : message[member];
}

/** A node had an attempt of a request that may go on: it is notified when the request is over. */
function hasFormerAt(request, nodeId) {
  request.fleetNotes.formerNodes ??= new Set();
  request.fleetNotes.formerNodes.add(nodeId);
}

/** The workers that a request was on, or that rejected it: not those again while others have room. */
function avoided({ triedOn, rejectedBy }) {
  return [...(triedOn?.keys() ?? []), ...(rejectedBy?.keys() ?? [])];
}

/** The workers that rejected a request, and do not get it again yet. */
function paused({ rejectedBy }) {
  const time = now();
  return [...(rejectedBy ?? [])].filter(([, { until }]) => until > time).map(([workerId]) => workerId);
}

/** Of two at random the one with more room. */
function freerOfTwo(rooms) {
  if (rooms.length === 1) return rooms[0];
  const first = Math.floor(Math.random() * rooms.length);
  const second = (first + 1 + Math.floor(Math.random() * (rooms.length - 1))) % rooms.length;
  return rooms[first].free >= rooms[second].free ? rooms[first] : rooms[second];
}

/** What another node is sent of a request. Members without a value are left out. */
function claimOf(request, workerId, offer) {
  const { options, rejectedBy, triedOn } = request;
  const time = now();
  const leftMs = request.timeoutAt - time;
  const avoid = [...(triedOn ?? [])].map(([id, attempt]) => [id, 0, attempt]);
  for (const [id, { until, attempt }] of rejectedBy ?? []) avoid.push([id, Math.max(0, until - time), attempt]);
  return {
    id: request.requestId,
    a: request.attempt + 1,
    m: request.model,
    c: options.category,
    x: options.modelMatch === 'exact',
    w: options.workerId ?? workerId,
    wh: options.where,
    af: options.affinity,
    p: options.priority,
    ms: leftMs === Infinity ? undefined : Math.max(1, leftMs),
    idle: options.idleTimeoutMs === Infinity ? undefined : options.idleTimeoutMs,
    st: request.isStream ? true : undefined,
    tr: request.traceText,
    av: avoid.length > 0 ? avoid : undefined,
    re: request.attempts + 1 < options.maxAttempts ? true : undefined,
    wi: isWatched(request) ? true : undefined,
    o: offer,
  };
}

module.exports = { Origin };
