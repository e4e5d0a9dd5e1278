'use strict';

// A server as the state machine of the fleet sees it: workers with slots, callers with requests, a queue. As simple as
// can be.

class SimulatedServer {
  #world;
  entry = null;
  /** The worker connections of this node, by worker id: { worker, runs }. */
  #sessions = new Map();
  /** Own requests that wait, oldest first. */
  #waiting = [];
  /** What waits elsewhere, by node and by what it is: { nodeId, key, priority, since, count }. */
  #wants = new Map();
  #remote = new Map();
  #hosted = new Map();

  constructor(world) {
    this.#world = world;
    this.directory = {
      add: (node, { id, max, model }) => this.#of(node).set(id, { max, model, active: 0 }),
      remove: (node, id) => this.#of(node).delete(id),
      setState: (node, id, [active]) => {
        const worker = this.#of(node).get(id);
        if (worker !== undefined) worker.active = active;
      },
      forget: (node) => this.#remote.delete(node),
    };
  }

  get node() {
    return this.entry.node;
  }

  get sessions() {
    return this.#sessions;
  }

  get isEmpty() {
    const isIdle = [...this.#sessions.values()].every(({ runs }) => runs.size === 0);
    return isIdle && this.#waiting.length === 0 && this.#hosted.size === 0 && this.#wants.size === 0;
  }

  #of(node) {
    if (!this.#remote.has(node)) this.#remote.set(node, new Map());
    return this.#remote.get(node);
  }

  onSaid() {}
  onDropped() {}
  onNodeJoined() {}
  onNodeLeft() {}
  onConnectionLost() {}

  // ---- Workers ----

  register(worker) {
    if (this.#sessions.has(worker.id)) this.#leave(worker.id);
    this.#sessions.set(worker.id, { worker, runs: new Map() });
    this.node.workers.join({ id: worker.id, max: worker.max, model: worker.model });
    this.dispatch();
  }

  evict(id) {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    // If the connection is its last one, the worker is started again in the end.
    if (session.worker.entry === this.entry) {
      session.worker.entry = null;
      this.#world.after(10_000, () => this.#world.connectUnlessHeld(id));
    }
    this.#leave(id);
  }

  onWorkerElsewhere() {}

  #leave(id) {
    const { runs } = this.#sessions.get(id);
    this.#sessions.delete(id);
    this.node.workers.leave(id);
    for (const run of runs.values()) {
      // A slot that is kept for another node is nobody's yet.
      if (run.owner === undefined) continue;
      run.isOver = true;
      this.#lose(run);
    }
  }

  disconnect(id) {
    if (this.#sessions.has(id)) this.#leave(id);
  }

  stateOf(id) {
    return [this.#sessions.get(id)?.runs.size ?? 0];
  }

  totals() {
    let [slots, busy] = [0, 0];
    for (const { worker, runs } of this.#sessions.values()) {
      slots += worker.max;
      busy += runs.size;
    }
    return { workers: this.#sessions.size, slots, busy, waiting: this.#waiting.length };
  }

  // ---- Slots ----

  #freeSession(model) {
    for (const session of this.#sessions.values()) {
      if (session.worker.model === model && session.runs.size < session.worker.max) return session;
    }
    return undefined;
  }

  /** Something begins on a worker. `owner` is notified of what becomes of it. */
  #run(session, requestId, owner) {
    const world = this.#world;
    const run = { requestId, owner, session, isOver: false, isCancelled: false, isReserved: false };
    session.runs.set(run, run);
    this.#begin(run);
    world.after(1 + world.below(400), () => world.on(this.entry, () => this.#finish(run)));
    return run;
  }

  #begin(run) {
    const { runs } = this.#world;
    runs.set(run.requestId, (runs.get(run.requestId) ?? 0) + 1);
  }

  #finish(run) {
    if (run.isOver) return;
    run.isOver = true;
    run.session.runs.delete(run);
    if (run.isCancelled) run.owner.freed();
    else if (this.#world.chance(0.1)) run.owner.error({ code: 'WORKER_ERROR', message: 'no', isRetryable: true });
    else run.owner.result(JSON.stringify(run.requestId));
    this.dispatch();
  }

  #lose({ owner, isCancelled }) {
    if (isCancelled) owner.freed();
    else owner.error({ code: 'WORKER_LOST', message: 'lost', isRetryable: true });
  }

  // ---- Callers ----

  request({ id, model, priority, maxAttempts, timeoutMs }) {
    const world = this.#world;
    const request = { id, model, priority, maxAttempts, origin: this.entry, ends: [], attempts: 0, since: world.now };
    request.isGone = false;
    world.requests.push(request);
    request.timer = world.after(timeoutMs, () => world.on(this.entry, () => this.#abort(request)));
    this.#place(request, 0);
  }

  #place(request, declines, except = null) {
    if (request.ends.length > 0) return;
    const session = this.#freeSession(request.model);
    if (session !== undefined && !this.#waiting.some(({ model }) => model === request.model)) {
      request.attempts += 1;
      request.run = this.#run(session, request.id, this.#ownerOf(request));
      return;
    }
    const rooms = [...this.#remote].filter(([node]) => node !== except && this.#roomOf(node, request.model) > 0);
    if (declines < 3 && rooms.length > 0 && this.#claim(this.#world.pick(rooms)[0], request, declines)) return;
    this.#waiting.push(request);
    this.#waiting.sort((a, b) => a.since - b.since);
    this.node.began([request.model, request.priority, this.#world.now - request.since, 1], this.#world.now);
  }

  #roomOf(node, model) {
    let room = 0;
    for (const worker of this.#of(node).values()) if (worker.model === model) room += worker.max - worker.active;
    return room;
  }

  #claim(nodeId, request, declines, offer) {
    const claim = { id: request.id, m: request.model, p: request.priority, o: offer };
    const retry = (error) => this.#onFailed(request, error);
    request.forward = this.node.claim(nodeId, claim, JSON.stringify(request.id), {
      onTaken: () => (request.isTaken = true),
      onDeclined: () => {
        request.forward = null;
        this.#place(request, declines + 1, nodeId);
      },
      onResult: () => this.#end(request, 'completed'),
      onError: (error) => {
        request.attempts += 1;
        retry(error);
      },
      onLost: () => {
        request.attempts += 1;
        retry({ isRetryable: true });
      },
      onFreed: () => {
        request.forward = null;
      },
    });
    return request.forward !== null;
  }

  #ownerOf(request) {
    return {
      result: () => this.#end(request, 'completed'),
      error: (error) => this.#onFailed(request, error),
      freed: () => {
        request.run = null;
      },
    };
  }

  #onFailed(request, { isRetryable }) {
    request.forward = null;
    request.run = null;
    if (isRetryable && request.attempts < request.maxAttempts) this.#place(request, 0);
    else this.#end(request, 'failed');
  }

  #end(request, outcome) {
    request.ends.push(outcome);
    request.forward = null;
    request.run = null;
    request.timer.isOff = true;
  }

  #abort(request) {
    if (request.ends.length > 0) return;
    const { forward, run } = request;
    this.#waiting = this.#waiting.filter((other) => other !== request);
    this.#end(request, 'timeout');
    if (forward) {
      request.forward = forward;
      this.node.cancel(forward, 'timeout');
    }
    if (run) run.isCancelled = true;
  }

  // ---- What other nodes ask ----

  host({ m: model }, text, hosted, kept) {
    const session = kept?.session ?? this.#freeSession(model);
    const isKept = kept !== undefined && this.#sessions.get(kept.session.worker.id) === kept.session;
    if (kept !== undefined) kept.session.runs.delete(kept);
    if (session === undefined || (kept !== undefined && !isKept)) {
      hosted.declined('room');
      return;
    }
    if (kept === undefined && this.#waiting.some((request) => request.model === model)) {
      hosted.declined('room');
      return;
    }
    const run = this.#run(session, JSON.parse(text), {
      result: (resultText) => this.#endHosted(hosted, () => hosted.result(resultText)),
      error: (error) => this.#endHosted(hosted, () => hosted.error(error)),
      freed: () => this.#endHosted(hosted, () => {}),
    });
    this.#hosted.set(hosted, run);
    hosted.taken({ id: session.worker.id });
  }

  #endHosted(hosted, say) {
    say();
    this.#hosted.delete(hosted);
    this.node.forget(hosted);
  }

  cancelHosted(hosted) {
    const run = this.#hosted.get(hosted);
    if (run !== undefined) run.isCancelled = true;
  }

  // ---- Waiting ----

  wants(most) {
    const wants = new Map();
    for (const { model, priority, since } of this.#waiting) {
      const key = `${priority}${model}`;
      const want = wants.get(key) ?? [model, priority, this.#world.now - since, 0];
      want[3] += 1;
      wants.set(key, want);
    }
    return [...wants.values()].slice(0, most);
  }

  setWant(nodeId, [key, priority, ageMs, count]) {
    this.#wants.set(`${nodeId}/${priority}${key}`, { nodeId, key, priority, since: this.#world.now - ageMs, count });
    this.dispatch();
  }

  clearWants(nodeId, except) {
    for (const [name, want] of this.#wants) {
      if (want.nodeId === nodeId && !except.has(`${want.priority}${want.key}`)) this.#wants.delete(name);
    }
  }

  onRoom() {}

  /** Free slots go to the request that has waited longest in the highest class, here or elsewhere. */
  dispatch() {
    for (const session of this.#sessions.values()) {
      while (session.runs.size < session.worker.max && this.#giveSlot(session));
    }
  }

  #giveSlot(session) {
    const { model } = session.worker;
    const own = this.#waiting.filter((request) => request.model === model);
    const others = [...this.#wants.values()].filter(({ key, count }) => key === model && count > 0);
    const [first] = [...own, ...others].sort((a, b) => a.priority - b.priority || a.since - b.since);
    if (first === undefined) return false;
    if (first.nodeId === undefined) {
      this.#waiting = this.#waiting.filter((request) => request !== first);
      first.attempts += 1;
      first.run = this.#run(session, first.id, this.#ownerOf(first));
      return true;
    }
    first.count -= 1;
    const kept = { session, isOver: true };
    session.runs.set(kept, kept);
    if (this.node.offer(first.nodeId, first, kept, session.worker.id, this.#world.now)) return true;
    session.runs.delete(kept);
    return true;
  }

  releaseSlot(kept) {
    kept.session.runs.delete(kept);
    this.dispatch();
  }

  takeOffer(nodeId, { number, key, priority }) {
    const request = this.#waiting.find(({ model, priority: own }) => model === key && own === priority);
    if (request === undefined) return false;
    this.#waiting = this.#waiting.filter((other) => other !== request);
    if (this.#claim(nodeId, request, 0, number)) return true;
    this.#waiting.push(request);
    this.#waiting.sort((a, b) => a.since - b.since);
    return false;
  }
}

module.exports = { SimulatedServer };
