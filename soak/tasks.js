'use strict';

// What a worker of the soak does with requests of the server's request(): it does them honestly or slowly, rejects them, forgets them,
// skips numbers, answers twice, never confirms that it let go; and it goes on with what it had after it was cut off.

const FEATURES = ['request', 'resume'];

class Tasks {
  #worker;
  /** What it has, by id: { requestId, attempt, stream, seq, end }. */
  #held = new Map();
  /** The session that it may go on with, and the id that it had there. */
  #former = null;
  speaks = false;

  constructor(worker) {
    this.#worker = worker;
  }

  /** What a registration says of requests. `isAgain`: on a socket that has registered before. */
  registration(id, isAgain) {
    const worker = this.#worker;
    const former = this.#former;
    this.#former = null;
    if (!isAgain) this.speaks = worker.chance(0.7);
    const resumes = !isAgain && this.speaks && former?.id === id && worker.chance(0.7);
    if (!resumes) this.#held.clear();
    if (!this.speaks) return {};
    if (!resumes) return { features: FEATURES };
    const requests = [...this.#held.values()].map(({ requestId, attempt, end }) => ({
      requestId,
      attempt,
      done: end !== undefined,
    }));
    return { features: FEATURES, resume: { sessionId: former.sessionId, requests } };
  }

  acknowledged({ resumed = [], dropped = [] }) {
    const { counts } = this.#worker.fleet;
    counts.resumed = (counts.resumed ?? 0) + resumed.length;
    for (const requestId of dropped) this.#held.delete(requestId);
    for (const { requestId, nextSeq } of resumed) {
      const task = this.#held.get(requestId);
      if (task === undefined) {
        this.#worker.fleet.complain(`${requestId} was resumed, and nobody had named it`);
        continue;
      }
      if (nextSeq > task.seq)
        this.#worker.fleet.complain(`chunk ${nextSeq} of ${requestId} is due, and ${task.seq} was not sent`);
      task.seq = nextSeq;
      this.#later(task, 0, 60);
    }
  }

  /** The connection is about to end, or has. */
  cutOff(id, sessionId) {
    this.#former = sessionId === null ? null : { id, sessionId };
  }

  /** What a heartbeat says of requests. */
  get active() {
    return this.speaks && this.#worker.chance(0.8) ? { active: [...this.#held.keys()] } : {};
  }

  /** Takes a message of the server. False if it is about no request. */
  take(message) {
    if (message.type === 'request') this.#begin(message);
    else if (message.type === 'request_cancel') this.#cancel(message);
    else if (message.type === 'request_settled') this.#settled(message);
    else return message.type === 'worker_status_ack';
    return true;
  }

  #begin({ requestId, attempt, stream, payload }) {
    const worker = this.#worker;
    if (!this.speaks) worker.fleet.complain(`${requestId} came to a worker that takes no requests`);
    if (payload?.requestId !== requestId) worker.fleet.complain(`${requestId} came with a payload of another request`);
    const task = { requestId, attempt, stream, seq: 0, end: undefined };
    const fate = worker.random();
    if (fate < 0.12) {
      this.#say(task, 'reject', { reason: 'busy' });
      return;
    }
    this.#held.set(requestId, task);
    // It has not even said that it has it.
    if (fate < 0.16) return;
    worker.fleet.ran(requestId);
    this.#say(task, 'ack');
    if (fate < 0.22) {
      this.#held.delete(requestId);
    } else if (fate < 0.26 && stream) {
      this.#say(task, 'chunk', { seq: 2, data: 2 });
    } else if (fate < 0.34) {
      this.#later(task, 200, 1_500);
    } else {
      this.#later(task, 0, 60);
    }
    if (worker.chance(0.3)) this.#say(task, 'progress', { data: 1 });
  }

  #later(task, low, high) {
    const { ws } = this.#worker;
    setTimeout(() => this.#go(task, ws), this.#worker.between(low, high)).unref();
  }

  /** Some chunks, and the end; on the connection on which that was planned. */
  #go(task, ws) {
    const worker = this.#worker;
    if (worker.ws !== ws || this.#held.get(task.requestId) !== task) return;
    if (task.stream) {
      for (let count = worker.between(0, 4); count > 0; count -= 1) {
        this.#say(task, 'chunk', { seq: task.seq, data: task.seq });
        task.seq += 1;
      }
    }
    task.end ??= worker.chance(0.15)
      ? ['error', { error: { message: 'no', retryable: worker.chance(0.6) } }]
      : ['result', { data: { requestId: task.requestId } }];
    this.#say(task, ...task.end);
    if (worker.chance(0.05)) this.#say(task, ...task.end);
  }

  #cancel({ requestId, attempt }) {
    const task = this.#held.get(requestId);
    if (task === undefined || (attempt !== undefined && attempt !== task.attempt)) return;
    this.#held.delete(requestId);
    // Some never confirm it.
    if (this.#worker.chance(0.8)) this.#say(task, 'error', { error: { message: 'cancelled' } });
  }

  #settled({ requestId, attempt }) {
    if (this.#held.get(requestId)?.attempt === attempt) this.#held.delete(requestId);
  }

  #say({ requestId, attempt }, type, more = {}) {
    this.#worker.send({ type: `request_${type}`, requestId, attempt, ...more });
  }
}

module.exports = { Tasks };
