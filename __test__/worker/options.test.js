'use strict';

const { Worker } = require('../../lib/worker/index.js');

const fine = { url: 'ws://localhost:1', capabilities: { models: [], maxConcurrentRequests: 1 }, handler: () => 1 };
const make = (options) => () => new Worker({ ...fine, ...options });
const cyclic = {};
cyclic.self = cyclic;

test.each([
  ['url', undefined],
  ['url', null],
  ['url', 'nonsense'],
  ['url', 'http://host'],
  ['url', 'ws://host/#part'],
  ['url', 'ws://user:secret@'],
  ['workerId', ''],
  ['workerId', 5],
  ['workerId', null],
  ['workerName', ''],
  ['workerName', null],
  ['authToken', null],
  ['authToken', 5],
  ['headers', null],
  ['headers', 'x'],
  ['headers', { 'a b': 'c' }],
  ['headers', { a: 'secret\n' }],
  ['headers', { a: 5 }],
  ['tls', null],
  ['tls', true],
  ['tls', { checkServerIdentity: () => 1 }],
  ['proxy', null],
  ['proxy', true],
  ['proxy', 'socks5://secret@host'],
  ['proxy', 'https://host'],
  ['proxy', ''],
  ['capabilities', undefined],
  ['capabilities', null],
  ['capabilities', 'x'],
  ['capabilities', []],
  ['capabilities', cyclic],
  ['handler', undefined],
  ['handler', null],
  ['handler', {}],
  ['reconnect', null],
  ['reconnect', 5],
  ['reconnect.initialDelayMs', -1],
  ['reconnect.initialDelayMs', NaN],
  ['reconnect.maxDelayMs', '5'],
  ['reconnect.maxDelayMs', null],
  ['reconnect.maxAttempts', 1.5],
  ['reconnect.maxAttempts', -1],
  ['reconnect.maxAttempts', null],
  ['drainTimeoutMs', -1],
  ['drainTimeoutMs', NaN],
  ['drainTimeoutMs', '5'],
  ['drainTimeoutMs', null],
  ['handleSignals', null],
  ['handleSignals', false],
  ['handleSignals', ['SIGNOTHING']],
  ['handleSignals', 'SIGTERM'],
  ['isolate', null],
  ['isolate', 1],
  ['logger', null],
  ['logger', {}],
  ['logger', { debug() {}, info() {}, warn() {} }],
])('options.%s can’t be %p', (name, value) => {
  const [outer, inner] = name.split('.');
  const options = { [outer]: inner === undefined ? value : { [inner]: value } };
  expect(make(options)).toThrow(TypeError);
  expect(make(options)).toThrow(`options.${name} must be`);
  expect(make(options)).not.toThrow(/secret/);
});

test.each([undefined, null, 5, 'ws://host', []])('options can’t be %p', (options) => {
  expect(() => new Worker(options)).toThrow(TypeError);
});

test.each([
  { url: new URL('wss://host/path?query=1') },
  { authToken: '' },
  { authToken: () => 'x' },
  { capabilities: () => fine.capabilities },
  { proxy: false },
  { proxy: 'http://user:pass@host:1' },
  { proxy: 'host:3128' },
  { reconnect: {} },
  { reconnect: { initialDelayMs: 0, maxDelayMs: Infinity, maxAttempts: 0 } },
  { drainTimeoutMs: Infinity },
  { drainTimeoutMs: 2 ** 40 },
  { handleSignals: [] },
  { handleSignals: ['SIGHUP'] },
  { headers: { a: ['b', 'c'] } },
  { tls: { ca: Buffer.from('x') } },
  { tls: { checkServerIdentity: () => undefined }, isolate: false },
])('%p is fine', (options) => {
  const worker = make(options)();
  expect(worker.state).toBe('idle');
});

test('the id of a worker without one is the same for the whole process', () => {
  expect(make({})().workerId).toBe(make({})().workerId);
});

test('onMessage() takes a string and a function', () => {
  const worker = make({})();
  expect(() => worker.onMessage(5, () => {})).toThrow(TypeError);
  expect(() => worker.onMessage('type', undefined)).toThrow(TypeError);
});
