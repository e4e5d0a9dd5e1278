'use strict';

// One worker that lives many lives: it connects, registers, works, and in most of its lives does something that no worker
// should. What it sees of the server it checks itself.

const net = require('node:net');
const WebSocket = require('ws');
const { MISDEEDS, UNREGISTERED } = require('./misdeeds');
const { Tasks } = require('./tasks');

const TOKEN = "the soak's token";
const MODELS = ['llama-3-8b', 'llama-3-70b', 'mistral', 'qwen'];
const HEARTBEAT_MS = 400;

class Worker {
  /** `fleet` is shared by the workers of a process: `{ port, host, ids, complain, counts }`. */
  constructor(fleet, ownId, random) {
    this.fleet = fleet;
    this.ownId = ownId;
    this.random = random;
    this.lives = 0;
    this.stopped = true;
    this.tasks = new Tasks(this);
  }

  chance(probability) {
    return this.random() < probability;
  }

  between(low, high) {
    return low + this.random() * (high - low);
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  /** Waits; ends early if the worker is to stop. */
  pause(ms) {
    if (this.stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.wake = undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.wake = end;
    });
  }

  async run() {
    this.stopped = false;
    while (!this.stopped) {
      await this.live();
      await this.pause(this.between(0, 150));
    }
    this.doing = null;
  }

  stop() {
    this.stopped = true;
    this.wake?.();
  }

  async live() {
    this.lives += 1;
    const stranger = this.chance(0.12);
    const deed = this.pick(stranger ? UNREGISTERED : MISDEEDS);
    this.doing = deed.name;
    this.fleet.counts[deed.name] = (this.fleet.counts[deed.name] ?? 0) + 1;
    if (!(await this.connect(deed.bare))) return;
    try {
      if (stranger) {
        await deed.act(this);
        return;
      }
      await this.register(this.chance(0.7) ? this.ownId : this.pick(this.fleet.ids));
      const beats = setInterval(() => this.heartbeat(), HEARTBEAT_MS);
      await this.work(this.between(0, 400));
      await deed.act(this);
      clearInterval(beats);
    } finally {
      await this.end();
    }
  }

  /** Opens the connection; `socket` is below `ws`, for what `ws` would not send. */
  connect(bare) {
    this.seq = 0;
    this.received = 0;
    this.broadcast = -1;
    this.nonce = null;
    this.sessionId = null;
    this.ws = null;
    const { host, port } = this.fleet;
    this.socket = net.connect({ host, port });
    this.gone = new Promise((resolve) => {
      this.socket.once('close', resolve);
      // Node's socket that can't be reset, since it is being shut down, says so and nothing more.
      this.socket.on('error', (error) => error.syscall === 'reset' && resolve());
    });
    if (bare) {
      return new Promise((resolve) => {
        this.socket.once('connect', () => resolve(true));
        this.socket.once('close', () => resolve(false));
      });
    }
    this.ws = new WebSocket(`ws://${host}:${port}/`, { perMessageDeflate: false, createConnection: () => this.socket });
    this.ws.on('error', () => {});
    this.ws.on('message', (data) => this.take(JSON.parse(data)));
    return new Promise((resolve) => {
      this.ws.once('open', () => resolve(true));
      this.ws.once('close', () => resolve(false));
    });
  }

  /** Cuts what is left of the connection, and waits until nothing is. */
  async end() {
    this.tasks.cutOff(this.id, this.nonce === null ? null : this.sessionId);
    this.socket.destroy();
    await this.gone;
  }

  get isOpen() {
    return this.ws?.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (this.isOpen) this.ws.send(JSON.stringify(message));
  }

  /** A message of this session. Those that follow a registration directly need no acknowledgement: they are in order. */
  tell(type, more = {}) {
    if (!this.isOpen) return;
    this.send({ type, nonce: this.nonce, seq: this.seq, ...more });
    this.seq += 1;
  }

  heartbeat(workerId = this.id) {
    this.send({ type: 'heartbeat', workerId, timestamp: new Date().toISOString(), ...this.tasks.active });
  }

  registration(id, more) {
    return {
      type: 'worker_registration',
      workerId: id,
      workerName: `name of ${id}`,
      authToken: TOKEN,
      capabilities: {
        models: [
          {
            modelId: this.pick(MODELS),
            displayName: 'm',
            maxContextTokens: 1,
            maxOutputTokens: 1,
            supportsStreaming: true,
          },
        ],
        maxConcurrentRequests: 1 + Math.floor(this.random() * 6),
        concurrencyLimits: this.chance(0.5) ? { chat: 2 } : undefined,
        nonce: this.nonce,
      },
      ...more,
    };
  }

  /** Registers, and resolves when that is acknowledged or the connection is gone. */
  async register(id) {
    this.id = id;
    this.nonce = `${this.ownId}/${this.lives}/${this.random()}`;
    this.seq = 0;
    this.acked = new Promise((resolve) => {
      this.onAck = resolve;
    });
    const isAgain = this.registered === this.ws;
    this.registered = this.ws;
    this.send(this.registration(id, this.tasks.registration(id, isAgain)));
    if (this.chance(0.3)) this.tell('note');
    await Promise.race([this.acked, this.gone]);
  }

  take(message) {
    const { fleet } = this;
    if (message.type === 'worker_registration_ack') {
      if (!message.success && this.nonce !== null) fleet.complain(`a good registration was refused: ${message.error}`);
      this.sessionId = message.sessionId;
      this.ackedNonce = this.nonce;
      this.received = 0;
      this.tasks.acknowledged(message);
      this.onAck?.();
      return;
    }
    if (this.sessionId === null) fleet.complain(`${message.type} before the acknowledgement`);
    if (this.tasks.take(message)) return;
    if (message.type === 'config') {
      if (message.broadcast <= this.broadcast) fleet.complain(`broadcast ${message.broadcast} after ${this.broadcast}`);
      this.broadcast = message.broadcast;
    } else if (message.type === 'work' || message.type === 'bulk') {
      if (message.nonce !== this.ackedNonce || message.n !== this.received) {
        fleet.complain(`message ${message.n} of ${message.nonce} came as ${this.received} of ${this.ackedNonce}`);
      }
      this.received += 1;
      if (message.type === 'work' && !this.chance(0.1)) setTimeout(() => this.answer(message), this.between(0, 60));
    }
  }

  answer({ nonce, requestId }) {
    if (nonce !== this.nonce) return;
    this.tell('result', { requestId });
    // Twice, now and then: the application must not count it twice.
    if (this.chance(0.05)) this.tell('result', { requestId });
  }

  /** An honest worker for a while. */
  async work(ms) {
    const end = performance.now() + ms;
    while (!this.stopped && this.isOpen && performance.now() < end) {
      this.tell(this.pick(['note', 'note', 'slow', 'boom']));
      await this.pause(this.between(5, 80));
    }
  }

  /** Leaves as one should, saying how many messages there were: none of them may be missing. */
  async leave() {
    if (!this.isOpen) return;
    this.ws.close(4200, String(this.seq));
    await Promise.race([this.gone, this.pause(3_000)]);
  }
}

module.exports = { Worker };
