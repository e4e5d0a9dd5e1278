'use strict';

const WebSocket = require('ws');
const { onCleanup } = require('../../support/cleanup.js');
const { capabilitiesOf, registrationOf } = require('../../support/worker.js');

/** What the workers serve, and the requests ask for. */
const MODELS = ['a', 'b'];

/** A worker that does all that a worker may do with a request, and some that it may not. It lives on over many sockets. */
class ScriptedWorker {
  #ledger;
  #choices;
  #port = 0;
  ws = null;
  isHonest = false;
  sessionId = null;
  /** What it works on, by id: { requestId, attempt, isRun }. */
  holds = new Map();

  constructor(id, ledger, choices) {
    this.id = id;
    this.#ledger = ledger;
    this.#choices = choices;
  }

  get isConnected() {
    return this.ws !== null && this.sessionId !== null;
  }

  /** Connects anew, beside the old socket if that still stands; `resumes`: it goes on with what it has. */
  connect(port, resumes) {
    this.#port = port;
    const held = [...this.holds.values()];
    const { sessionId } = this;
    if (!resumes) this.holds.clear();
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
    onCleanup(() => ws.terminate());
    this.ws = ws;
    this.sessionId = null;
    ws.on('error', () => {});
    ws.on('open', () => {
      const resume = resumes &&
        sessionId !== null && {
          resume: {
            sessionId,
            requests: held.map(({ requestId, attempt }) => ({ requestId, attempt, done: false })),
          },
        };
      this.#say(ws, {
        ...registrationOf(this.id, {
          capabilities: capabilitiesOf(MODELS, 1 + this.#choices.below(3)),
          features: this.#choices.chance(0.7) || resumes ? ['request', 'resume'] : ['request'],
        }),
        ...resume,
      });
    });
    ws.on('message', (data) => {
      if (this.ws === ws) this.#take(JSON.parse(data));
    });
    ws.on('close', () => {
      if (this.ws === ws) this.ws = null;
    });
  }

  #say(ws, message) {
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
  }

  say(message) {
    if (this.ws !== null) this.#say(this.ws, message);
  }

  #take(message) {
    switch (message.type) {
      case 'worker_registration_ack':
        this.sessionId = message.sessionId;
        for (const requestId of message.dropped ?? []) this.holds.delete(requestId);
        break;
      case 'request':
        this.#begin(message);
        break;
      case 'request_cancel': {
        const held = this.holds.get(message.requestId);
        const isMeant = held !== undefined && (message.attempt ?? held.attempt) === held.attempt;
        // One that is not honest may never confirm: what the server waits for then is its grace.
        if (isMeant && (this.isHonest || this.#choices.chance(0.7))) this.#end(held, 'error', { error: {} });
        break;
      }
    }
  }

  #begin({ requestId, attempt, stream }) {
    const held = { requestId, attempt, stream, seq: 0, isRun: false };
    this.holds.set(requestId, held);
    if (this.isHonest) {
      this.run(held);
      this.#end(held, 'result', { data: attempt });
      return;
    }
    const fate = this.#choices.random();
    if (fate < 0.15) {
      this.holds.delete(requestId);
      this.#about(held, 'reject', { reason: 'busy' });
      return;
    }
    if (fate < 0.2) return;
    this.run(held);
    if (fate < 0.5) this.#end(held, 'result', { data: attempt });
    else if (fate < 0.6) setTimeout(() => this.step(held), this.#choices.below(8));
  }

  /** From here on the request runs. */
  run(held) {
    if (held.isRun) return;
    held.isRun = true;
    this.#ledger.ran(held.requestId);
    this.#about(held, 'ack');
  }

  #about({ requestId, attempt }, type, more = {}) {
    this.say({ type: `request_${type}`, requestId, attempt, ...more });
  }

  #end(held, type, more) {
    this.holds.delete(held.requestId);
    this.#about(held, type, more);
    // Twice, now and then: that changes nothing.
    if (this.#choices.chance(0.1)) this.#about(held, type, more);
  }

  /** Something happens to a request that it has. */
  step(held) {
    if (held === undefined || this.holds.get(held.requestId) !== held) return;
    this.run(held);
    const fate = this.#choices.random();
    if (fate < 0.3) this.#end(held, 'result', { data: held.attempt });
    else if (fate < 0.45) this.#end(held, 'error', { error: { message: 'no', retryable: this.#choices.chance(0.6) } });
    else if (fate < 0.6) this.#about(held, 'progress', { data: fate });
    else if (fate < 0.85) {
      this.#about(held, 'chunk', { seq: held.seq, data: held.seq });
      held.seq += 1;
    } else if (fate < 0.92) {
      this.#about(held, 'chunk', { seq: held.seq + 3, data: 'too far' });
    } else {
      // It has lost it, and names others only.
      this.holds.delete(held.requestId);
      this.beat();
      this.beat();
    }
  }

  beat() {
    const active = [...this.holds.keys()];
    this.say({ type: 'heartbeat', workerId: this.id, timestamp: new Date().toISOString(), active });
  }

  /** One thing that it does of its own accord. */
  act() {
    const choices = this.#choices;
    const fate = choices.random();
    if (this.ws === null) {
      this.connect(this.#port, choices.chance(0.5));
    } else if (fate < 0.5) {
      this.step(choices.pick([...this.holds.values()]));
    } else if (fate < 0.6) {
      this.beat();
    } else if (fate < 0.7) {
      this.say({ type: 'worker_status', status: choices.pick(['draining', 'available', 'asleep']) });
    } else if (fate < 0.78) {
      this.say({
        type: 'worker_update',
        capabilities: capabilitiesOf(choices.pick([MODELS, ['a']]), choices.below(4)),
      });
    } else if (fate < 0.84) {
      this.ws.terminate();
    } else if (fate < 0.88) {
      this.ws.close(choices.pick([1000, 1001, 4000]));
    } else if (fate < 0.95) {
      // While the old socket still stands.
      this.connect(this.#port, choices.chance(0.6));
    } else {
      // Another worker's, most likely; one that is on its way here counts as answered.
      this.say({ type: 'request_result', requestId: this.#ledger.pickToForge(choices), attempt: 1, data: 'forged' });
    }
  }

  /** From now on it takes back all that it did, and answers all that it has. */
  makeUp() {
    this.isHonest = true;
    for (const held of [...this.holds.values()]) {
      this.run(held);
      this.#end(held, 'result', { data: held.attempt });
    }
    this.say({ type: 'worker_status', status: 'available' });
    this.say({ type: 'worker_update', capabilities: capabilitiesOf(MODELS, 4) });
  }
}

module.exports = { MODELS, ScriptedWorker };
