'use strict';

// Options and loggers of every make: frozen, proxied, inherited, changed later, or broken.

const { inspect } = require('node:util');
const { readOptions } = require('../../lib/server/options.js');
const { WorkerServer } = require('../support/package.js');
const { createServer, startServer } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');

class Options {
  #port = 0;
  get port() {
    return this.#port;
  }
  get authToken() {
    return 'secret';
  }
}

test.each([
  ['frozen', Object.freeze({ port: 0, authToken: 'secret', limits: Object.freeze({ stopGraceMs: 10 }) })],
  [
    'of no prototype',
    Object.assign(Object.create(null), { port: 0, authToken: 'secret', limits: Object.create(null) }),
  ],
  ['inherited', Object.create({ port: 0, authToken: 'secret', limits: Object.create({ stopGraceMs: 10 }) })],
  ['of a class with getters', new Options()],
  ['a proxy', new Proxy({ port: 0, authToken: 'secret', limits: new Proxy({ stopGraceMs: 10 }, {}) }, {})],
])('options can be %s', async (_, options) => {
  const server = new WorkerServer(options);
  await server.start();
  const worker = await connect(server);
  expect((await worker.register('w', { authToken: 'secret' })).success).toBe(true);
  await server.stop();
});

test('each option is read once', () => {
  const reads = [];
  const reading = (object, path = '') =>
    new Proxy(object, {
      get(target, name) {
        reads.push(`${path}${String(name)}`);
        return target[name];
      },
    });
  const limits = reading({ maxMessageBytes: 1024, stopGraceMs: 1 }, 'limits.');
  new WorkerServer(reading({ port: 0, authToken: ['a', 'b'], limits }));
  expect(reads).toEqual([...new Set(reads)]);
  expect(reads).toEqual(expect.arrayContaining(['port', 'authToken', 'limits', 'limits.stopGraceMs']));
});

test('what is done to the options after the construction changes nothing', async () => {
  const limits = { maxConnections: 10, stopGraceMs: 100 };
  const options = { port: 0, authToken: ['old'], heartbeatIntervalMs: 5, limits };
  const { server } = createServer(options);
  Object.assign(options, { port: 1, authToken: [], heartbeatIntervalMs: 'x', host: 5 });
  Object.assign(limits, { maxConnections: 0, stopGraceMs: 'x' });
  await server.start();
  const { ack } = await connectWorker(server, 'w', { authToken: 'old' });
  expect(ack).toMatchObject({ success: true, heartbeatIntervalMs: 5 });
});

test.each([
  'port',
  'host',
  'authToken',
  'acceptUnregistered',
  'reusePort',
  'heartbeatTimeoutMs',
  'healthCheckIntervalMs',
  'heartbeatIntervalMs',
  'pingIntervalMs',
  'logger',
  'limits',
])('what a getter of %s throws comes out of the constructor', (name) => {
  const error = new Error('no');
  const options = { port: 0 };
  Object.defineProperty(options, name, {
    enumerable: true,
    get: () => {
      throw error;
    },
  });
  expect(() => new WorkerServer(options)).toThrow(error);
});

test.each([
  [
    'throws when it is shown',
    {
      [inspect.custom]: () => {
        throw new Error('shown');
      },
    },
  ],
  [
    'has a tag that throws',
    Object.create({
      get [Symbol.toStringTag]() {
        throw new Error('shown');
      },
    }),
  ],
  [
    'is a revoked proxy',
    (() => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    })(),
  ],
  ['is a megabyte of text', 'x'.repeat(2 ** 20)],
])('a value that %s is a TypeError like another', (_, value) => {
  for (const name of ['port', 'host', 'acceptUnregistered', 'reusePort', 'heartbeatTimeoutMs', 'pingIntervalMs']) {
    if (name === 'host' && typeof value === 'string') continue;
    let thrown;
    try {
      new WorkerServer({ port: 0, [name]: value });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown.message).toMatch(new RegExp(`^options\\.${name} must be `));
    expect(thrown.message.length).toBeLessThan(1000);
  }
});

test.each([['acceptUnregistered'], ['reusePort']])('%s is true, false, or left out', (name) => {
  for (const value of [true, false, undefined, null])
    expect(() => new WorkerServer({ port: 0, [name]: value })).not.toThrow();
  for (const value of [0, 1, 'true', '', {}, [], Object(true), 1n, Symbol('true'), () => true]) {
    expect(() => new WorkerServer({ port: 0, [name]: value })).toThrow(
      new RegExp(`^options\\.${name} must be true or false`),
    );
  }
});

class Log {
  #lines = [];
  constructor(prefix) {
    this.prefix = prefix;
  }
  #write(level, message) {
    this.#lines.push(`${this.prefix} ${level} ${message}`);
  }
  debug(message) {
    this.#write('debug', message);
  }
  warn(message) {
    this.#write('warn', message);
  }
  error(message) {
    this.#write('error', message);
  }
  get lines() {
    return this.#lines;
  }
}

test('a logger may be of a class: its methods are called on it, and those that it has at the time', async () => {
  const logger = new Log('first');
  const { server } = await startServer({ logger });
  await connectWorker(server, 'w');
  expect(logger.lines[0]).toBe('first debug HTTP + WebSocket server started');
  const debug = jest.spyOn(logger, 'debug');
  logger.prefix = 'second';
  await server.stop();
  expect(debug).toHaveBeenCalledWith('HTTP + WebSocket server stopped');
  expect(debug.mock.contexts[0]).toBe(logger);
  expect(logger.lines.at(-1)).toBe('second debug HTTP + WebSocket server stopped');
});

test.each(['debug', 'warn', 'error'])('a logger without %s is a TypeError that names it', (level) => {
  const logger = { debug() {}, warn() {}, error() {}, [level]: 'not a function' };
  expect(() => new WorkerServer({ port: 0, logger })).toThrow(
    new RegExp(`^options\\.logger\\.${level} must be a function`),
  );
});

test('what is said about strangers is read as it is, and without a word about it the native side goes by the tokens', () => {
  const accepts = (options) => readOptions({ port: 0, ...options }).acceptUnregistered;
  for (const authToken of [undefined, 'x', ['x']]) {
    expect(accepts({ authToken })).toBeUndefined();
    for (const acceptUnregistered of [true, false]) {
      expect(accepts({ authToken, acceptUnregistered })).toBe(acceptUnregistered);
    }
  }
});
