'use strict';

const { ConnectionHandler, WorkerPool, safeCompare } = require('../support/package.js');
const { makeWorker, mockSocket } = require('../support/standalone.js');

const CONFIG = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

/** The error of a call that must throw. */
function errorOf(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}

describe('pool.add', () => {
  const withCapabilities = (capabilities) => ({ ...makeWorker('a'), capabilities });
  const cyclic = {};
  cyclic.self = cyclic;

  test.each([
    [null, 'worker must be an object, got null'],
    [undefined, 'worker must be an object, got undefined'],
    ['a', "worker must be an object, got 'a'"],
    [{}, 'worker.id must be a string, got undefined'],
    [makeWorker(7), 'worker.id must be a string, got 7'],
    [makeWorker('a', { websocket: undefined }), 'worker.websocket must be an object, got undefined'],
    [makeWorker('a', { websocket: null }), 'worker.websocket must be an object, got null'],
    [
      makeWorker('a', { status: 'asleep' }),
      "worker.status must be one of 'available', 'busy', 'draining', 'unhealthy', got 'asleep'",
    ],
    [makeWorker('a', { lastHeartbeat: 5 }), 'worker.lastHeartbeat must be a Date, got 5'],
    [makeWorker('a', { activeRequests: '1' }), "worker.activeRequests must be a number, got '1'"],
    [makeWorker('a', { activeRequests: NaN }), 'worker.activeRequests must be a number, got NaN'],
    [makeWorker('a', { completedRequests: undefined }), 'worker.completedRequests must be a number, got undefined'],
    [makeWorker('a', { pendingRequests: [] }), 'worker.pendingRequests must be a Set, got []'],
    [makeWorker('a', { requestCategories: {} }), 'worker.requestCategories must be a Map, got {}'],
    [makeWorker('a', { categoryActiveRequests: null }), 'worker.categoryActiveRequests must be a Map, got null'],
    [withCapabilities(undefined), 'worker.capabilities: expected an object, got nothing'],
    [withCapabilities(null), 'worker.capabilities: expected an object, got null'],
    [withCapabilities([]), 'worker.capabilities: expected an object, got an array'],
    [withCapabilities(5n), 'worker.capabilities: expected an object, got nothing'],
    [withCapabilities({}), 'worker.capabilities.models: expected an array, got nothing'],
    [withCapabilities({ models: cyclic }), 'worker.capabilities.models: expected an array, got an object'],
    [withCapabilities({ models: ['m'] }), 'worker.capabilities.models[0]: expected an object, got a string'],
    [withCapabilities({ models: [null] }), 'worker.capabilities.models[0]: expected an object, got null'],
    [withCapabilities({ models: [{}] }), 'worker.capabilities.models[0].modelId: expected a string, got nothing'],
    [
      withCapabilities({ models: [{ modelId: cyclic }] }),
      'worker.capabilities.models[0].modelId: expected a string, got an object',
    ],
    [
      withCapabilities({ models: [], maxConcurrentRequests: '2' }),
      'worker.capabilities.maxConcurrentRequests: expected a finite number that is not negative, got a string',
    ],
    [
      withCapabilities({ models: [], maxConcurrentRequests: -1 }),
      'worker.capabilities.maxConcurrentRequests: expected a finite number that is not negative, got -1',
    ],
    [
      withCapabilities({ models: [], maxConcurrentRequests: 2n }),
      'worker.capabilities.maxConcurrentRequests: expected a finite number that is not negative, got nothing',
    ],
    [
      withCapabilities({ models: [], maxConcurrentRequests: 1, concurrencyLimits: [] }),
      'worker.capabilities.concurrencyLimits: expected an object of numbers, got an array',
    ],
    [
      withCapabilities({ models: [], maxConcurrentRequests: 1, concurrencyLimits: { chat: 'two' } }),
      'worker.capabilities.concurrencyLimits.chat: expected a number, got a string',
    ],
  ])('throws a TypeError that names the field (case %#)', (worker, message) => {
    const pool = new WorkerPool();
    expect(errorOf(() => pool.add(worker))).toEqual(new TypeError(message));
    expect(pool.getCount()).toBe(0);
    expect([...pool.values()]).toEqual([]);
  });

  test('throws what an accessor throws, and adds nothing', () => {
    const worker = makeWorker('a');
    Object.defineProperty(worker, 'capabilities', {
      get() {
        throw new RangeError('not yet');
      },
    });
    const pool = new WorkerPool();
    expect(() => pool.add(worker)).toThrow(new RangeError('not yet'));
    expect(pool.has('a')).toBe(false);
  });

  test('leaves the worker of that id as it was if the new one is wrong', () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a', { max: 3 });
    pool.add(worker);
    pool.trackRequest('a', 'r');
    expect(() => pool.add(withCapabilities({ models: [] }))).toThrow(TypeError);
    expect(pool.get('a')).toBe(worker);
    expect(pool.getAvailableSlotCount('llama-3')).toBe(2);
    pool.releaseRequest('r');
    expect(worker.activeRequests).toBe(0);
  });

  test.each([undefined, null])('takes %s as no concurrencyLimits', (concurrencyLimits) => {
    const pool = new WorkerPool();
    pool.add(withCapabilities({ models: [{ modelId: 'm' }], maxConcurrentRequests: 1, concurrencyLimits }));
    expect(pool.getAvailableSlotCount('m', 'chat')).toBe(1);
  });

  test('takes a limit that is undefined as no limit', () => {
    const pool = new WorkerPool();
    const concurrencyLimits = { chat: undefined };
    pool.add(withCapabilities({ models: [{ modelId: 'm' }], maxConcurrentRequests: 4, concurrencyLimits }));
    expect(pool.getAvailableSlotCount('m', 'chat')).toBe(4);
  });

  test('takes a worker with a socket that can do nothing; only sending to it fails', () => {
    const pool = new WorkerPool();
    pool.add(makeWorker('a', { websocket: {} }));
    pool.add(makeWorker('b', { websocket: { readyState: 1 } }));
    expect(pool.send('a', {})).toBe(false);
    expect(pool.send('b', {})).toBe(false);
    pool.broadcast({});
    pool.closeAll();
    expect(pool.getCount()).toBe(0);
  });
});

describe('queries', () => {
  test.each([undefined, null, 7, {}])('a model that is %p is a TypeError', (model) => {
    const pool = new WorkerPool();
    expect(errorOf(() => pool.getAvailableWorker(model)).message).toMatch(/^model must be a string/);
    expect(errorOf(() => pool.getAvailableSlotCount(model)).message).toMatch(/^model must be a string/);
  });

  test('a category that is no string is a TypeError, and null is none', () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a', { limits: { chat: 0 } });
    pool.add(worker);
    expect(() => pool.getAvailableWorker('llama-3', 7)).toThrow(TypeError);
    expect(pool.getAvailableWorker('llama-3', null)).toBe(worker);
  });

  test('ids and names may be anything a string can be', () => {
    const pool = new WorkerPool();
    for (const id of ['', '__proto__', 'constructor', '\ud800', '🦀\0']) {
      const worker = makeWorker(id, { models: [`model ${id}`.toWellFormed?.() ?? 'model'] });
      pool.add(worker);
      expect(pool.get(id)).toBe(worker);
      pool.trackRequest(id, id, id);
      expect(worker.categoryActiveRequests.get(id)).toBe(1);
      pool.releaseRequest(id);
      expect(worker.activeRequests).toBe(0);
    }
    expect(pool.getAvailableWorker('__proto__', '__proto__').id).toBe('__proto__');
  });
});

describe('ConnectionHandler', () => {
  test.each([
    [[undefined, CONFIG], /^pool must be a WorkerPool/],
    [[new WorkerPool()], /^config must be an object/],
    [[new WorkerPool(), { ...CONFIG, heartbeatTimeoutMs: undefined }], /^config.heartbeatTimeoutMs must be/],
    [[new WorkerPool(), { ...CONFIG, heartbeatIntervalMs: NaN }], /^config.heartbeatIntervalMs must be/],
    [[new WorkerPool(), { ...CONFIG, authToken: null }], /^config.authToken must be a string/],
  ])('names the argument that is wrong (case %#)', (args, message) => {
    const error = errorOf(() => new ConnectionHandler(...args));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(message);
  });

  test('does not show a token that is no string', () => {
    const error = errorOf(() => new ConnectionHandler(new WorkerPool(), { ...CONFIG, authToken: ['hush-7', 7] }));
    expect(error.message).not.toContain('hush-7');
  });

  test.each([
    [null, 'ws must be a WebSocket, got null'],
    ['ws', "ws must be a WebSocket, got 'ws'"],
    [mockSocket(), 'ws.on must be a function, got undefined'],
    [{ on() {}, close() {} }, 'ws.send must be a function, got undefined'],
    [{ on() {}, send() {}, close: true }, 'ws.close must be a function, got true'],
  ])('names what a socket lacks (case %#)', (ws, message) => {
    const handler = new ConnectionHandler(new WorkerPool(), CONFIG);
    expect(errorOf(() => handler.handleConnection(ws))).toEqual(new TypeError(message));
  });

  test('a handler must be a function, and a type a string', () => {
    const handler = new ConnectionHandler(new WorkerPool(), CONFIG);
    expect(() => handler.onWorkerConnected()).toThrow(new TypeError('handler must be a function, got undefined'));
    expect(() => handler.onWorkerDisconnected({})).toThrow(TypeError);
    expect(() => handler.onMessage('x', 'y')).toThrow(TypeError);
    expect(() => handler.onMessage(5, () => {})).toThrow(new TypeError('type must be a string, got 5'));
  });
});

describe('safeCompare', () => {
  test.each([
    [undefined, 'a'],
    ['a', null],
    [5, '5'],
    [['a'], 'a'],
  ])('of %p and %p is a TypeError', (a, b) => {
    expect(() => safeCompare(a, b)).toThrow(TypeError);
  });
});
