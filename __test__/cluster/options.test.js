'use strict';

// What is wrong with the option `cluster`, and with what an adapter is made of, is said by name.

const { WorkerServer } = require('../../index.js');
const { memoryAdapter, natsAdapter, redisAdapter } = require('../../lib/cluster');

const adapter = memoryAdapter();
/** The error that a call throws. */
function thrownBy(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

const create = (cluster) => () => new WorkerServer({ port: 0, cluster });

const WRONG = [
  ['null', null, /^options\.cluster must be an object, got null/],
  ['a string', 'nats', /^options\.cluster must be an object/],
  ['no adapter', {}, /^options\.cluster\.adapter must be/],
  ['an adapter without subscribe', { adapter: { publish() {} } }, /^options\.cluster\.adapter must be/],
  [
    'a close that is no function',
    { adapter: { ...adapter, close: 1 } },
    /^options\.cluster\.adapter\.close must be a function/,
  ],
  ['an empty name', { adapter, name: '' }, /^options\.cluster\.name must be 1 to 64 of/],
  ['a name with a dot', { adapter, name: 'a.b' }, /^options\.cluster\.name must be/],
  ['a name of 65', { adapter, name: 'x'.repeat(65) }, /^options\.cluster\.name must be/],
  ['a name with a line break', { adapter, name: 'a\n' }, /^options\.cluster\.name must be/],
  ['a nodeId that is null', { adapter, nodeId: null }, /^options\.cluster\.nodeId must be/],
  ['a nodeId with a space', { adapter, nodeId: 'a b' }, /^options\.cluster\.nodeId must be/],
  ['preferLocal as a number', { adapter, preferLocal: 1 }, /^options\.cluster\.preferLocal must be true or false/],
  [
    'a heartbeat of 0',
    { adapter, heartbeatMs: 0 },
    /^options\.cluster\.heartbeatMs must be a number of milliseconds above 0/,
  ],
  ['a heartbeat that is NaN', { adapter, heartbeatMs: NaN }, /^options\.cluster\.heartbeatMs must be/],
  [
    'fewer than three heartbeats',
    { adapter, heartbeatMs: 4_000 },
    /^options\.cluster\.timeoutMs must be .* at least 3 times/,
  ],
  ['a timeout that is a string', { adapter, timeoutMs: '10000' }, /^options\.cluster\.timeoutMs must be/],
  ['an empty secret', { adapter, secret: '' }, /^options\.cluster\.secret must be a string that is not empty$/],
  ['a secret that is null', { adapter, secret: null }, /^options\.cluster\.secret must be a string that is not empty$/],
];

test.each(WRONG)('%s is a TypeError that names the member', (_name, cluster, message) => {
  const error = thrownBy(create(cluster));
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toMatch(message);
});

test('no error holds a secret', () => {
  for (const secret of [{ hush: 'hush' }, ['hush'], Buffer.from('hush')]) {
    expect(thrownBy(create({ adapter, secret })).message).not.toContain('hush');
  }
  expect(thrownBy(create({ adapter, secret: 'hush', name: '' })).message).not.toContain('hush');
});

test('exactly three heartbeats, and infinite times, are allowed', () => {
  for (const times of [
    { heartbeatMs: 100, timeoutMs: 300 },
    { timeoutMs: Infinity },
    { heartbeatMs: Infinity, timeoutMs: Infinity },
  ]) {
    expect(create({ adapter, ...times })).not.toThrow();
  }
});

test('what is no connection makes no adapter, and its credentials are not shown', () => {
  const secretive = { password: 'hush' };
  const attempts = [
    [() => natsAdapter(), /^connection must be a connection of @nats-io\/transport-node or nats, got undefined/],
    [() => natsAdapter(secretive), /^connection must be/],
    [() => redisAdapter(), /^publisher must be a client of ioredis or redis/],
    [() => redisAdapter({ publish() {} }, secretive), /^subscriber must be/],
    [() => memoryAdapter(secretive), /^bus must be an EventEmitter/],
  ];
  for (const [attempt, message] of attempts) {
    const error = thrownBy(attempt);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('hush');
  }
  const client = { publish() {}, subscribe() {} };
  expect(() => redisAdapter(client, client)).toThrow(/^subscriber must be another connection than publisher/);
});

test('without the option there is no cluster', async () => {
  const server = new WorkerServer({ port: 0 });
  expect(server.getClusterInfo()).toBeNull();
  await server.start();
  expect(server.getClusterInfo()).toBeNull();
  await server.stop();
});
