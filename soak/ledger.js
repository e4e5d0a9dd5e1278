'use strict';

// What must hold, kept beside the server while it runs: every event is compared with what had to come. Nothing is kept of
// what has ended, so that the ledger itself doesn't grow: whatever comes twice or late is found missing.

/** A worker session, from its connected event to its end, as the application saw it. */
function newSession(worker) {
  const { nonce, maxConcurrentRequests } = worker.capabilities;
  return {
    id: worker.id,
    nonce,
    sessionId: worker.sessionId,
    max: maxConcurrentRequests,
    /** The number of the message that must come next, and of the next one that is sent. */
    next: 0,
    sent: 0,
    /** Requests that are tracked and have not ended. */
    open: new Set(),
    active: 0,
    completed: 0,
  };
}

class Ledger {
  #server;
  #complain;
  #hearsStrangers;
  /** Sessions by worker id; those that were replaced and owe a disconnected event, by nonce. */
  #live = new Map();
  #owed = new Map();
  /** The session of each request that has not ended. */
  #requests = new Map();
  #goodbye = null;
  /** Those who use request(), if there are any. */
  callers = null;
  /** Whether the server is one of several: requests of others are on its workers too. */
  isOfFleet = false;
  counts = {
    sessions: 0,
    messages: 0,
    strangers: 0,
    tracked: 0,
    released: 0,
    lost: 0,
    replaced: 0,
    complete: 0,
    queries: 0,
  };

  /** `hearsStrangers` is whether messages of those who have never registered may come. */
  constructor(server, complain, hearsStrangers) {
    this.#hearsStrangers = hearsStrangers;
    this.#server = server;
    this.#complain = complain;
  }

  get liveCount() {
    return this.#live.size;
  }

  get openRequests() {
    return this.#requests.size;
  }

  /** The session of a registered worker. */
  session(workerId) {
    return this.#live.get(workerId);
  }

  sessions() {
    return this.#live.values();
  }

  #require(holds, what, ...details) {
    if (!holds)
      this.#complain(
        `${what}${details.length > 0 ? `: ${details.map((part) => JSON.stringify(part)).join(' ')}` : ''}`,
      );
  }

  /** The server's view of one worker agrees with this one (I3). */
  #agree(session, where) {
    this.counts.queries += 1;
    const all = this.#server.getWorkerInfo();
    const info = all.find(({ id }) => id === session.id);
    this.#require(
      info?.sessionId === session.sessionId,
      `${where}: the worker is not the one in getWorkerInfo()`,
      session,
      info?.sessionId,
    );
    if (info === undefined) return;
    const { activeRequests, pendingRequestIds, status } = info;
    // Requests of request() stand there as well, and are counted with the others.
    const theirs = [...pendingRequestIds].filter((requestId) => this.callers?.knows(requestId)).length;
    const completedRequests = this.callers === null ? info.completedRequests : session.completed;
    this.#require(info.completedRequests >= session.completed, `${where}: completed requests are missing`, session.id);
    // A slot that is offered to another server counts as active, and nobody has it yet.
    const offered = this.isOfFleet ? Math.max(0, activeRequests - pendingRequestIds.size) : 0;
    const seen = [activeRequests - theirs - offered, completedRequests, pendingRequestIds.size - theirs];
    const kept = [session.active, session.completed, session.open.size];
    this.#require(
      String(seen) === String(kept),
      `${where}: active, completed and pending disagree`,
      session.id,
      seen,
      kept,
    );
    const full = activeRequests >= session.max;
    this.#require(
      ['unhealthy', 'draining'].includes(status) || (status === 'busy') === full,
      `${where}: a wrong status`,
      status,
      session.active,
      session.max,
    );
  }

  #agreeOnCount(where) {
    const count = this.#server.getWorkerCount();
    this.#require(count === this.#live.size, `${where}: getWorkerCount() disagrees`, count, this.#live.size);
  }

  connected(worker) {
    this.counts.sessions += 1;
    this.#require(!this.#live.has(worker.id), 'connected while an earlier session of the id has not ended', worker.id);
    this.#require(
      this.#owed.size === 0,
      'connected before the disconnected event that a replaced session was owed',
      worker.id,
    );
    const session = newSession(worker);
    this.#live.set(worker.id, session);
    this.#agree(session, 'connected');
    this.#agreeOnCount('connected');
    this.#require(
      this.#server.getWorkerInfo().at(-1).id === worker.id,
      'connected: not the last in registration order',
      worker.id,
    );
  }

  /** By the log: the session of this id gives way to another. Only if it had requests does an event follow. */
  replacing({ workerId }) {
    this.counts.replaced += 1;
    const session = this.#live.get(workerId);
    this.#require(session !== undefined, 'replaced an unknown worker', workerId);
    if (session === undefined) return;
    this.#live.delete(workerId);
    if (session.open.size > 0) this.#owed.set(session.nonce, session);
  }

  /** By the log: the connection of a worker has ended; its disconnected event follows at once. */
  ended(context) {
    this.#require(this.#live.has(context.workerId), 'the end of a worker that is not there', context);
    this.#goodbye = context;
  }

  disconnected(worker, pending) {
    const { nonce } = worker.capabilities;
    const owed = this.#owed.get(nonce);
    const session = owed ?? this.#live.get(worker.id);
    if (session?.nonce !== nonce) {
      this.#complain(`disconnected for a session that is not there: ${worker.id} ${nonce}`);
      return;
    }
    if (owed !== undefined) this.#owed.delete(nonce);
    else this.#left(session);
    this.#require(
      pending.size === session.open.size && [...session.open].every((id) => pending.has(id)),
      'disconnected: other requests than those that were pending',
      worker.id,
      [...pending],
      [...session.open],
    );
    for (const id of session.open) this.#requests.delete(id);
    this.counts.lost += session.open.size;
    this.#require(
      !this.#server.getWorkerInfo().some(({ sessionId }) => sessionId === session.sessionId),
      'disconnected: the session is still in getWorkerInfo()',
      worker.id,
    );
    // While a replacement is under way two workers may have left, and the event of only one has come.
    if (owed === undefined) this.#agreeOnCount('disconnected');
  }

  #left(session) {
    this.#live.delete(session.id);
    this.#require(
      this.#goodbye?.workerId === session.id,
      'disconnected without its log line',
      session.id,
      this.#goodbye,
    );
    const { code, reason } = this.#goodbye ?? {};
    this.#goodbye = null;
    // A worker that leaves by this code says how many messages it had sent: each of them must have come.
    if (code !== 4200) return;
    this.counts.complete += 1;
    this.#require(
      Number(reason) === session.next,
      'messages are missing before a clean close',
      session.id,
      reason,
      session.next,
    );
  }

  /** A message that carries its session's nonce and its number. */
  message(worker, message) {
    if (worker.id === 'unknown') {
      this.counts.strangers += 1;
      const hasRegistered = ![null, "a stranger's"].includes(message.nonce);
      this.#require(hasRegistered || this.#hearsStrangers, 'a message of one that has never registered', message);
      const session = [...this.#live.values()].find(({ nonce }) => nonce === message.nonce);
      this.#require(session === undefined, 'a message of a registered worker came as from an unknown one', session?.id);
      return undefined;
    }
    this.counts.messages += 1;
    const session = this.#live.get(worker.id);
    this.#require(
      session?.nonce === message.nonce && session?.sessionId === worker.sessionId,
      'a message after the end of its session, or of another one',
      worker.id,
      session?.nonce,
      message.nonce,
    );
    if (session === undefined) return undefined;
    this.#require(
      session.next === message.seq,
      'a gap, or a message out of order',
      worker.id,
      session.next,
      message.seq,
    );
    session.next = message.seq + 1;
    // Asking for all workers at each message would be most of the work.
    if (this.counts.messages % 32 === 0) this.#agree(session, 'message');
    if (this.counts.messages % 8 === 0) this.#agreeOnCount('message');
    return session;
  }

  track(session, requestId) {
    this.counts.tracked += 1;
    this.#requests.set(requestId, session);
    session.open.add(requestId);
    session.active += 1;
    if (this.counts.tracked % 16 === 0) this.#agree(session, 'trackRequest');
  }

  /** Notes that a request was released; false if it had ended already, and the release had to change nothing. */
  release(requestId, completed) {
    const session = this.#requests.get(requestId);
    if (session === undefined) return false;
    this.counts.released += 1;
    this.#requests.delete(requestId);
    session.open.delete(requestId);
    session.active -= 1;
    if (completed) session.completed += 1;
    if (this.counts.released % 16 === 0) this.#agree(session, 'releaseRequest');
    return true;
  }

  isOpen(requestId) {
    return this.#requests.has(requestId);
  }

  /** When no worker is left nothing may be open. */
  settle() {
    const { tracked, released, lost } = this.counts;
    this.#require(
      this.#server.getWorkerCount() === 0 && this.#live.size === 0,
      'workers are left',
      this.#server.getWorkerCount(),
      this.#live.size,
    );
    this.#require(this.#owed.size === 0, 'disconnected events are owed', this.#owed.size);
    this.#require(
      this.#requests.size === 0 && tracked === released + lost,
      'requests did not end exactly once',
      this.#requests.size,
      this.counts,
    );
  }
}

module.exports = { Ledger };
