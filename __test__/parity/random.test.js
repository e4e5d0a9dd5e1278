'use strict';

// Random but repeatable sequences of operations leave the same traces on the package and on its stand-in.

const packageUnderTest = require('../support/package.js');
const standin = require('./standin.js');
const { traceOf } = require('./trace.js');
const { capabilitiesOf } = require('../support/worker.js');

const IDS = ['a', 'b', 'c', 'd', 'e'];
const MODELS = ['llama-3-8b', 'llama-3', 'llama', 'gpt-oss', ''];
const CATEGORIES = [undefined, 'chat', 'embed'];
const STEPS = 150;

/** Mulberry32: small, and the same everywhere. Returns a whole number from 0 below `bound`. */
function randomFrom(seed) {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/** One run: which operations come depends on the seed alone, never on what the server answers. */
class Run {
  constructor(trace, seed) {
    this.t = trace;
    this.random = randomFrom(seed);
    /** The open clients by the id they are registered under. */
    this.open = new Map();
    this.requests = [];
    this.names = 0;
    this.ended = 0;
  }

  pick(list) {
    return list[this.random(list.length)];
  }

  client() {
    return this.open.get(this.pick([...this.open.keys()]));
  }

  fields() {
    const models = [this.pick(MODELS), this.pick(MODELS)];
    const concurrencyLimits = this.pick([undefined, null, { chat: 1 }, { chat: 2, embed: 0 }]);
    return { capabilities: capabilitiesOf(models, this.random(5), { concurrencyLimits }) };
  }

  async gone(client) {
    await client.closed;
    await this.t.ended((this.ended += 1));
  }

  async register() {
    const id = this.pick(IDS);
    const old = this.open.get(id);
    const fields = this.fields();
    this.open.set(id, await this.t.worker(`client ${(this.names += 1)}`, id, fields));
    if (old) await this.gone(old);
  }

  async registerAgain() {
    if (this.open.size === 0) return;
    const client = this.client();
    const id = this.pick(IDS);
    const old = this.open.get(id);
    this.open.delete(client.id);
    const fields = this.fields();
    await client.register(id, fields);
    this.open.set(id, client);
    if (old && old !== client) await this.gone(old);
  }

  async leave() {
    if (this.open.size === 0) return;
    const client = this.client();
    // What is on its way to a client that closes may or may not arrive: so that nothing is.
    this.t.server.send(client.id, { type: 'last' });
    await client.next('last');
    this.open.delete(client.id);
    if (this.random(2)) client.ws.close(4000 + this.random(999), 'leaving');
    else client.ws.terminate();
    await this.gone(client);
  }

  track() {
    // Now and then an id that is tracked already.
    const requestId = this.random(8) ? `r${this.requests.length}` : (this.pick(this.requests) ?? 'r');
    this.requests.push(requestId);
    this.t.ask('trackRequest', this.pick([...IDS, 'nobody']), requestId, this.pick(CATEGORIES));
  }

  release() {
    const requestId = this.random(10) ? (this.pick(this.requests) ?? 'r') : 'no such request';
    this.t.ask('releaseRequest', requestId, this.pick([undefined, {}, { incrementCompleted: true }]));
  }

  choose() {
    const [model, category] = [this.pick(MODELS), this.pick(CATEGORIES)];
    const chosen = this.t.ask('getAvailableWorker', model, category);
    this.t.ask('getAvailableSlotCount', model, category);
    if (chosen === null) return;
    this.requests.push(`r${this.requests.length}`);
    this.t.ask('trackRequest', chosen.id, this.requests.at(-1), category);
  }

  async heartbeat() {
    if (this.open.size === 0) return;
    const client = this.client();
    const named = this.pick([...this.open.keys()]);
    await client.heartbeat(`beat ${this.random(1000)}`, named);
  }

  async talk() {
    if (this.open.size === 0) return;
    const client = this.client();
    const texts = ['{"type":"x","n":1}', '{"type":"x","a":[{}]}', '{"type":"z"}', 'no json', 'null', '{"type":7}'];
    for (let i = this.random(4); i >= 0; i -= 1) client.sendText(this.pick(texts));
    await client.sync();
  }

  send() {
    if (this.random(4)) this.t.ask('send', this.pick([...IDS, 'nobody']), { type: 'work', n: this.random(1000) });
    else this.t.ask('broadcast', { type: 'all', n: this.random(1000) });
  }

  async go() {
    const operations = [
      'register',
      'registerAgain',
      'leave',
      'heartbeat',
      'talk',
      'send',
      'send',
      'release',
      'release',
    ];
    operations.push('register', 'track', 'track', 'track', 'choose', 'choose', 'choose');
    for (let step = 0; step < STEPS; step += 1) {
      const operation = this.pick(operations);
      this.t.note(`-- ${step} ${operation}`);
      await this[operation]();
      if (step % 10 === 0) this.t.askAll(MODELS, CATEGORIES);
    }
    this.t.askAll(MODELS, CATEGORIES);
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('a random run, seed %d', async (seed) => {
  const scenario = { run: (trace) => new Run(trace, seed).go() };
  const expected = await traceOf(standin, scenario);
  expect(expected.events.filter((event) => event.startsWith('disconnected')).length).toBeGreaterThan(3);
  expect(await traceOf(packageUnderTest, scenario)).toEqual(expected);
});
