'use strict';

// What `<path>.json` says of a server, from its public members and what the collector has kept.

const { version } = require('../../package.json');
const clock = require('../time/clock.js');

const MAX_REQUESTS = 1_000;
const NONE = Object.freeze({});

class Status {
  #server;
  #collector;
  #startedAt;
  /** By worker id: the session that it is of, and its address, which is looked up once a session. */
  #addresses = new Map();
  /** By capabilities, which a worker replaces as a whole. */
  #models = new WeakMap();

  /** @param {() => number} startedAt When the server started, on the clock of `lib/time/clock.js`. */
  constructor(server, collector, startedAt) {
    this.#server = server;
    this.#collector = collector;
    this.#startedAt = startedAt;
  }

  /**
   * What the server does at this moment.
   *
   * @param now The time from which the ages of heartbeats are counted.
   */
  read(now = Date.now()) {
    const server = this.#server;
    const infos = server.getWorkerInfo();
    const cluster = server.getClusterInfo?.() ?? null;
    return {
      state: server.state,
      version,
      uptimeMs: Math.max(0, Math.round(clock.now() - this.#startedAt())),
      workers: this.#workers(infos, now),
      queue: server.getQueueInfo(),
      requests: this.#requests(infos, cluster !== null),
      history: this.#collector.history.entries(),
      losses: [...this.#collector.losses],
      nodes: cluster?.nodes ?? null,
    };
  }

  #workers(infos, now) {
    const addresses = new Map();
    const workers = infos.map((info) => {
      const known = this.#addresses.get(info.id);
      const isKnown = known?.sessionId === info.sessionId;
      const address = isKnown ? known.address : (this.#server.getConnectionInfo?.(info.id)?.remoteAddress ?? null);
      addresses.set(info.id, isKnown ? known : { sessionId: info.sessionId, address });
      return {
        id: info.id,
        name: info.name,
        address,
        status: info.status,
        active: info.activeRequests,
        slots: info.capabilities.maxConcurrentRequests,
        categories: categoriesOf(info),
        models: this.#modelsOf(info.capabilities),
        heartbeatAgeMs: Math.max(0, now - info.lastHeartbeat.getTime()),
        connectedAt: info.connectedAt.toISOString(),
      };
    });
    this.#addresses = addresses;
    return workers;
  }

  #modelsOf(capabilities) {
    let models = this.#models.get(capabilities);
    if (models === undefined) {
      models = Object.freeze(capabilities.models.map(({ modelId }) => modelId));
      this.#models.set(capabilities, models);
    }
    return models;
  }

  /** The oldest requests under way. Those of other nodes' workers are running if they were sent. */
  #requests(infos, isCluster) {
    const { requests } = this.#collector;
    if (requests.size === 0) return [];
    const now = clock.now();
    const byId = new Map(infos.map((info) => [info.id, info]));
    const rows = [];
    for (const [{ requestId, model, workerId, attempts }, { startedAt }] of requests) {
      if (requestId === undefined) continue;
      const info = byId.get(workerId);
      const isRunning = info?.pendingRequestIds.has(requestId) ?? (isCluster && workerId !== undefined && attempts > 0);
      rows.push({
        requestId,
        model: model ?? null,
        workerId: isRunning ? workerId : null,
        attempt: attempts,
        ageMs: Math.round(now - startedAt),
        state: isRunning ? 'running' : 'waiting',
      });
      if (rows.length === MAX_REQUESTS) break;
    }
    return rows;
  }
}

/** By category: how many requests are active, and how many may be, `null` for no limit of its own. */
function categoriesOf({ categoryActiveRequests, capabilities: { concurrencyLimits = NONE } }) {
  if (categoryActiveRequests.size === 0 && concurrencyLimits === NONE) return NONE;
  const names = new Set([...Object.keys(concurrencyLimits), ...categoryActiveRequests.keys()]);
  const entries = [...names].map((name) => [
    name,
    {
      active: categoryActiveRequests.get(name) ?? 0,
      limit: Object.hasOwn(concurrencyLimits, name) ? concurrencyLimits[name] : null,
    },
  ]);
  return Object.fromEntries(entries);
}

module.exports = { Status };
