'use strict';

// What the caller can get wrong, and what is said of it.

const { NAMES } = require('../support/exports.js');
const api = require('../support/package.js');
const { createServer } = require('../support/server.js');

const { WorkerServer } = api;

test('the exports are those of the package, and no more', () => {
  expect(Object.keys(api).sort()).toEqual([...NAMES].sort());
});

test('WorkerStatus has the four states', () => {
  expect(api.WorkerStatus).toEqual({
    Available: 'available',
    Busy: 'busy',
    Draining: 'draining',
    Unhealthy: 'unhealthy',
  });
});

test.each([
  ['no options', undefined, /options/],
  ['null', null, /options/],
  ['no port', {}, /port/],
  ['a port that is no number', { port: 'x' }, /port/],
  ['a negative port', { port: -1 }, /port/],
  ['a port beyond 65535', { port: 65536 }, /port/],
  ['a fractional port', { port: 1.5 }, /port/],
  ['NaN for a port', { port: NaN }, /port/],
  ['a token that is no string', { port: 0, authToken: 5 }, /authToken/],
  ['a negative heartbeat timeout', { port: 0, heartbeatTimeoutMs: -1 }, /heartbeatTimeoutMs/],
  ['a heartbeat timeout that is no number', { port: 0, heartbeatTimeoutMs: '60000' }, /heartbeatTimeoutMs/],
  ['NaN for a heartbeat timeout', { port: 0, heartbeatTimeoutMs: NaN }, /heartbeatTimeoutMs/],
  ['a negative health check interval', { port: 0, healthCheckIntervalMs: -1 }, /healthCheckIntervalMs/],
  ['a negative heartbeat interval', { port: 0, heartbeatIntervalMs: -5 }, /heartbeatIntervalMs/],
  ['a ping interval that is no number', { port: 0, pingIntervalMs: '5' }, /pingIntervalMs/],
])('%s is a TypeError that names the field', (_, options, field) => {
  expect(() => new WorkerServer(options)).toThrow(TypeError);
  expect(() => new WorkerServer(options)).toThrow(field);
});

test('a port from the environment, which is text, is taken', () => {
  expect(createServer({ port: '8080' }).server.port).toBe(8080);
});

test('options that are undefined have their defaults', () => {
  const make = () =>
    new WorkerServer({
      port: 0,
      authToken: undefined,
      heartbeatTimeoutMs: undefined,
      healthCheckIntervalMs: undefined,
      heartbeatIntervalMs: undefined,
      logger: undefined,
    });
  expect(make).not.toThrow();
});

describe.each([
  ['nothing', undefined],
  ['null', null],
  ['a string', 'handler'],
  ['an object', {}],
])('%s for a handler', (_, handler) => {
  test.each([
    ['onWorkerConnected', (server) => server.onWorkerConnected(handler)],
    ['onWorkerDisconnected', (server) => server.onWorkerDisconnected(handler)],
    ['onWorkerMessage', (server) => server.onWorkerMessage('type', handler)],
    ['addHttpHandler', (server) => server.addHttpHandler(handler)],
    ['addWebSocketEndpoint', (server) => server.addWebSocketEndpoint('/path', handler)],
  ])('is a TypeError in %s', (name, call) => {
    const { server } = createServer();
    expect(() => call(server)).toThrow(TypeError);
    expect(() => call(server)).toThrow(/handler/);
  });
});

describe.each([
  ['nothing', undefined],
  ['null', null],
  ['a number', 5],
  ['an object', {}],
])('%s where a string belongs', (_, value) => {
  test.each([
    ['the type of onWorkerMessage', /type/, (server) => server.onWorkerMessage(value, () => {})],
    ['the path of addWebSocketEndpoint', /path/, (server) => server.addWebSocketEndpoint(value, () => {})],
    ['the model of getAvailableWorker', /model/, (server) => server.getAvailableWorker(value)],
    ['the model of getAvailableSlotCount', /model/, (server) => server.getAvailableSlotCount(value)],
  ])('is a TypeError that names it: %s', (__, name, call) => {
    const { server } = createServer();
    expect(() => call(server)).toThrow(TypeError);
    expect(() => call(server)).toThrow(name);
  });
});

test.each([[undefined], [null], [5], [{}]])(
  '%p is no worker id: nothing is sent to it or tracked for it',
  async (value) => {
    const { server } = createServer();
    await server.start();
    expect(server.send(value, {})).toBe(false);
    expect(() => server.trackRequest(value, 'r')).not.toThrow();
    expect(() => server.releaseRequest(value)).not.toThrow();
  },
);

test('the constructor needs new', () => {
  expect(() => WorkerServer({ port: 0 })).toThrow(TypeError);
});
