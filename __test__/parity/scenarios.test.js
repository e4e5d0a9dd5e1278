'use strict';

// The same scenarios on the package and on its plain JavaScript stand-in leave the same traces.

const packageUnderTest = require('../support/package.js');
const standin = require('./standin.js');
const { traceOf } = require('./trace.js');
const { capabilitiesOf, registrationOf } = require('../support/worker.js');

const SCENARIOS = [
  {
    name: 'a worker registers, works and leaves',
    async run(t) {
      const a = await t.worker('a', 'a', {}, { protocols: ['v2', 'v1'] });
      t.askAll();
      await a.heartbeat('2020-02-02T02:02:02.222Z');
      t.ask('send', 'a', { type: 'work', requestId: 'r1' });
      t.ask('trackRequest', 'a', 'r1', 'chat');
      t.askAll(['model-a', 'b', 'model'], [undefined, 'chat']);
      a.send({ type: 'x', requestId: 'r1', result: [1, null, { deep: 'ü' }] });
      await a.sync();
      t.ask('releaseRequest', 'r1', { incrementCompleted: true });
      t.askAll();
      await a.close(4242, 'enough');
      await t.ended(1);
      t.askAll();
    },
  },
  {
    name: 'workers leave with pending requests, politely and not',
    async run(t) {
      const a = await t.worker('a');
      const b = await t.worker('b');
      await t.worker('c');
      for (const id of ['a', 'b', 'c']) {
        t.ask('trackRequest', id, `${id}1`, 'chat');
        t.ask('trackRequest', id, `${id}2`);
        t.ask('trackRequest', id, `${id}2`);
      }
      t.askAll();
      await a.close(1000, 'bye');
      await t.ended(1);
      await b.die();
      await t.ended(2);
      t.ask('releaseRequest', 'a1');
      t.ask('releaseRequest', 'c2');
      t.askAll();
    },
  },
  {
    name: 'an id is replaced from another socket, idle and with requests',
    async run(t) {
      const first = await t.worker('first', 'w');
      await t.worker('bystander');
      const second = await t.worker('second', 'w', { workerName: 'Second' });
      await first.closed;
      await t.ended(1);
      t.askAll();
      t.ask('trackRequest', 'w', 'r1', 'chat');
      t.ask('trackRequest', 'w', 'r2');
      const third = await t.worker('third', 'w', { capabilities: capabilitiesOf(['other'], 7) });
      await second.closed;
      await t.ended(2);
      t.askAll(['model-a', 'other']);
      third.send({ type: 'x' });
      await third.sync();
    },
  },
  {
    name: 'a socket registers again, under the same id and under others',
    async run(t) {
      const w = await t.worker('w', 'a');
      await w.register('a', { workerName: 'Again' });
      t.askAll();
      t.ask('trackRequest', 'a', 'r1');
      await w.register('a');
      t.askAll();
      t.ask('trackRequest', 'a', 'r2');
      await w.register('b');
      t.askAll();
      t.ask('send', 'a', { type: 'lost' });
      t.ask('send', 'b', { type: 'found' });
      w.send({ type: 'x' });
      await w.sync();
      await w.close();
      await t.ended(1);
      t.askAll();
    },
  },
  {
    name: 'a socket takes over the id of another one',
    async run(t) {
      const other = await t.worker('other', 'b');
      const w = await t.worker('w', 'a');
      t.ask('trackRequest', 'b', 'r1');
      await w.register('b');
      await other.closed;
      await t.ended(1);
      t.askAll();
    },
  },
  {
    name: 'registrations are refused for their token',
    options: { authToken: 'right' },
    async run(t) {
      let ended = 0;
      for (const authToken of ['wrong', undefined, null, 5, {}, '', 'right ']) {
        const client = await t.connect(`with ${authToken}`);
        client.send(registrationOf('w', { authToken }));
        client.send({ type: 'x' });
        await client.closed;
        await t.ended((ended += 1));
      }
      await t.worker('good', 'w', { authToken: 'right' });
      t.askAll();
    },
  },
  {
    name: 'registrations are refused for their fields',
    async run(t) {
      const broken = [
        { workerId: undefined },
        { workerId: 5 },
        { workerName: {} },
        { capabilities: undefined },
        { capabilities: null },
        { capabilities: [] },
        { capabilities: {} },
        { capabilities: { models: 'm' } },
        { capabilities: { models: [null] } },
        { capabilities: { models: [{ modelId: 'm' }, { modelId: [] }] } },
        { capabilities: { models: [] } },
        { capabilities: { models: [], maxConcurrentRequests: true } },
        { capabilities: { models: [], maxConcurrentRequests: 1, concurrencyLimits: 'x' } },
        { capabilities: { models: [], maxConcurrentRequests: 1, concurrencyLimits: { ok: 1, chat: [] } } },
      ];
      for (const [i, fields] of broken.entries()) {
        const client = await t.connect(`broken ${i}`);
        client.send(registrationOf('w', fields));
        client.send({ type: 'x' });
        await client.closed;
        await t.ended(i + 1);
      }
      await t.worker('good', 'w', { workerName: undefined, capabilities: { models: [], maxConcurrentRequests: 0 } });
      t.askAll(['', 'm']);
    },
  },
  {
    name: 'messages that are nonsense',
    async run(t) {
      const w = await t.worker('w');
      const texts = [
        'no json', '', '{', 'null', '[]', '5', '"x"', '{}', '{"type":1}', '{"type":null}', '{"type":"nobody"}',
        '{"type":"x","type":"nobody"}', '{"type":"nobody","type":"x"}', '{"\\u0074ype":"x"}', '{"type":"__proto__"}',
        '{"type":"heartbeat"}', '{"type":"heartbeat","workerId":5}', '{"type":"heartbeat","workerId":null}',
        '{"type":"heartbeat","workerId":"stranger","timestamp":1}', '[{"type":"x"}]', '{"type":"x"}{"type":"x"}',
        '\ufeff{"type":"x"}', '{"type":"x",}', "{'type':'x'}", '{"type":"x","a":01}', '{"type":"x","a":"\\q"}',
      ]; // prettier-ignore
      for (const text of texts) {
        w.sendText(text);
        await w.sync();
      }
      await w.heartbeat('still there');
    },
  },
  ...[undefined, true].map((acceptUnregistered) => ({
    name: `strangers where a token is asked for, with acceptUnregistered ${acceptUnregistered}`,
    options: { authToken: 'token', acceptUnregistered },
    async run(t) {
      const w = await t.worker('w', 'w', { authToken: 'token' });
      const stranger = await t.connect('stranger');
      const texts = ['{"type":"x","n":1}', '{"type":"nobody"}', '{"type":"heartbeat","workerId":"v"}', '{', '{}'];
      for (const text of texts) stranger.sendText(text);
      await stranger.register('s', { authToken: 'token' });
      for (const text of texts) {
        stranger.sendText(text);
        await stranger.sync();
      }
      await w.heartbeat('still there');
    },
  })),
  {
    name: 'messages that are hard to read',
    async run(t) {
      const w = await t.worker('w');
      const texts = [
        '{"type":"x","n":[1e400,-0,0.1,12345678901234567890,1e-7,5e-324]}', '{"type":"x","a":1,"b":2,"a":3}',
        '{"type":"x","__proto__":{"a":1},"constructor":null}', '{"type":"x","s":"\\ud800 \\udc00\\ud800 😀\\u0000"}',
        '{"2":1,"type":"x","1":2}', ' {"type" : "x" , "a" : [ [ ] , { } ] } ', '{"type":"x","\\ud83d\\ude00":"\u2028"}',
      ]; // prettier-ignore
      for (const text of texts) {
        w.sendText(text);
        w.ws.send(Buffer.from(text), { binary: true });
        await w.sync();
      }
    },
  },
  {
    name: 'a socket that speaks before it registers, and one that never does',
    async run(t) {
      const silent = await t.connect('silent');
      const w = await t.connect('w');
      w.send({ type: 'x', n: 1 });
      w.send({ type: 'heartbeat', workerId: 'w', timestamp: 1 });
      await w.sync();
      await w.register('w');
      w.send({ type: 'x', n: 2 });
      await w.sync();
      await silent.close(1000, 'said nothing');
      await t.ended(1);
    },
  },
  {
    name: 'handlers throw and reject',
    async run(t) {
      const fail = (thrown) => () => {
        throw thrown;
      };
      t.server.onWorkerConnected(fail(new Error('connected')));
      t.server.onWorkerDisconnected(fail('disconnected'));
      t.server.onWorkerMessage('x', fail(null));
      t.server.onWorkerMessage('x', async () => fail(new Error('late'))());
      t.server.onWorkerConnected((info) => t.note('second connected', info.id));
      t.server.onWorkerMessage('x', (info) => t.note('last message', info.id));
      const w = await t.worker('w');
      w.send({ type: 'x' });
      await w.sync();
      await w.close();
      await t.ended(1);
      await new Promise(setImmediate);
    },
  },
  {
    name: 'handlers come and go while events run',
    async run(t) {
      const notes = (name) => () => t.note(name);
      const late = notes('late');
      let off = null;
      t.server.onWorkerMessage('x', () => {
        t.note('adder');
        t.server.onWorkerMessage('x', late);
        off();
      });
      off = t.server.onWorkerMessage('x', notes('removed in its turn'));
      const w = await t.worker('w');
      for (let i = 0; i < 3; i += 1) w.send({ type: 'x', i });
      await w.sync();
    },
  },
  {
    name: 'a silent worker turns unhealthy, recovers, and is given up',
    options: { heartbeatTimeoutMs: 250, healthCheckIntervalMs: 20 },
    async run(t) {
      const silences = () => t.log.contexts('Worker heartbeat timeout').length;
      const w = await t.worker('w', 'w', { capabilities: capabilitiesOf(['model-a'], 1) });
      await t.log.until(() => silences() === 1);
      t.askAll();
      await w.heartbeat('first');
      t.askAll();
      t.ask('trackRequest', 'w', 'r1');
      await t.log.until(() => silences() === 2);
      t.askAll();
      await w.heartbeat('second');
      t.askAll();
      await w.closed;
      await t.ended(1);
      t.askAll();
    },
  },
  {
    name: 'sending what can and what cannot be sent',
    async run(t) {
      const cycle = {};
      cycle.cycle = cycle;
      const a = await t.worker('a');
      await t.worker('b');
      await t.connect('stranger');
      for (const message of [{ type: 'y', u: undefined, n: NaN, s: '\ud800' }, [], 'text', null, cycle, { n: 1n }]) {
        t.ask('send', 'a', message);
        t.ask('send', 'nobody', message);
        t.ask('broadcast', message);
      }
      await a.heartbeat('between');
      for (let n = 0; n < 200; n += 1) {
        t.ask('send', n % 2 ? 'a' : 'b', { type: 'n', n });
        if (n % 50 === 0) t.ask('broadcast', { type: 'all', n });
      }
    },
  },
  {
    name: 'closings with codes and reasons of many kinds',
    async run(t) {
      const closings = [[1000], [1001, 'going'], [3000, 'tschüß 😀'], [4999, 'x'.repeat(123)], []];
      for (const [i, closing] of closings.entries()) {
        const w = await t.worker(`w${i}`);
        w.ws.close(...closing);
        await w.closed;
        await t.ended(i + 1);
      }
      const broken = await t.worker('broken');
      broken.ws._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]));
      await broken.closed;
      await t.ended(closings.length + 1);
    },
  },
];

test.each(SCENARIOS)('$name', async (scenario) => {
  const expected = await traceOf(standin, scenario);
  expect(expected.events.length).toBeGreaterThan(3);
  expect(await traceOf(packageUnderTest, scenario)).toEqual(expected);
});
