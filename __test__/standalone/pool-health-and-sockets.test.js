'use strict';

const { WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { makeWorker, mockSocket } = require('../support/standalone.js');

const NOW = 1_000_000;
const silentFor = (ms) => ({ lastHeartbeat: new Date(NOW - ms) });

describe('checkHealth', () => {
  beforeEach(() => {
    jest.spyOn(Date, 'now').mockReturnValue(NOW);
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  test('marks workers unhealthy past the timeout and returns the ids past three times the timeout', () => {
    const pool = new WorkerPool();
    for (const ms of [0, 1000, 1001, 3000, 3001, 90_000]) pool.add(makeWorker(`${ms}`, silentFor(ms)));
    expect(pool.checkHealth(1000)).toEqual(['3001', '90000']);
    expect([...pool.values()].map(({ status }) => status)).toEqual([
      'available',
      'available',
      'unhealthy',
      'unhealthy',
      'unhealthy',
      'unhealthy',
    ]);
    expect(pool.getCount()).toBe(6);
  });

  test('warns once of each worker that turns unhealthy', () => {
    const logger = recordingLogger();
    const pool = new WorkerPool(logger);
    pool.add(makeWorker('a', silentFor(1500)));
    pool.checkHealth(1000);
    pool.checkHealth(1000);
    expect(logger.lines).toEqual([
      {
        level: 'warn',
        message: 'Worker heartbeat timeout',
        context: { workerId: 'a', timeSinceHeartbeat: 1500, threshold: 1000 },
      },
    ]);
  });

  test('returns a dead worker each time until it is removed', () => {
    const pool = new WorkerPool();
    pool.add(makeWorker('a', silentFor(9999)));
    expect(pool.checkHealth(1000)).toEqual(['a']);
    expect(pool.checkHealth(1000)).toEqual(['a']);
    pool.remove('a');
    expect(pool.checkHealth(1000)).toEqual([]);
  });

  test.each(['busy', 'draining'])('marks a worker that was %s unhealthy too', (status) => {
    const pool = new WorkerPool();
    const worker = makeWorker('a', { status, ...silentFor(1001) });
    pool.add(worker);
    pool.checkHealth(1000);
    expect(worker.status).toBe('unhealthy');
  });

  test("says nothing of the sockets, which are the caller's to close", () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a', silentFor(9999));
    pool.add(worker);
    pool.checkHealth(1000);
    expect(worker.websocket.close).not.toHaveBeenCalled();
  });

  test('needs a number', () => {
    expect(() => new WorkerPool().checkHealth('soon')).toThrow(new TypeError("timeoutMs must be a number, got 'soon'"));
  });
});

describe('send', () => {
  test('sends JSON text to an open socket', () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a');
    pool.add(worker);
    expect(pool.send('a', { type: 'x', n: 1 })).toBe(true);
    expect(worker.websocket.send.mock.calls).toEqual([['{"type":"x","n":1}']]);
  });

  test.each([0, 2, 3])('sends nothing to a socket whose readyState is %d', (readyState) => {
    const pool = new WorkerPool();
    const worker = makeWorker('a', { websocket: mockSocket({ readyState }) });
    pool.add(worker);
    expect(pool.send('a', {})).toBe(false);
    expect(worker.websocket.send).not.toHaveBeenCalled();
  });

  test('returns false for an unknown id', () => {
    expect(new WorkerPool().send('a', {})).toBe(false);
  });

  test('returns false for what cannot be serialised', () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a');
    pool.add(worker);
    const cyclic = {};
    cyclic.self = cyclic;
    for (const message of [cyclic, { n: 1n }, undefined, () => {}]) expect(pool.send('a', message)).toBe(false);
    expect(worker.websocket.send).not.toHaveBeenCalled();
  });

  test('returns false if the socket throws', () => {
    const pool = new WorkerPool();
    const send = () => {
      throw new Error('closed');
    };
    pool.add(makeWorker('a', { websocket: mockSocket({ send }) }));
    expect(pool.send('a', {})).toBe(false);
  });

  test('works with plain functions as with spies', () => {
    const sent = [];
    const pool = new WorkerPool();
    pool.add(makeWorker('a', { websocket: { readyState: 1, send: (text) => sent.push(text), close() {} } }));
    expect(pool.send('a', [1])).toBe(true);
    expect(sent).toEqual(['[1]']);
  });
});

describe('broadcast', () => {
  test('sends the same text to every open socket, and a socket that throws keeps it from nobody', () => {
    const pool = new WorkerPool();
    const broken = makeWorker('broken');
    broken.websocket.send.mockImplementation(() => {
      throw new Error('broken');
    });
    const closed = makeWorker('closed', { websocket: mockSocket({ readyState: 3 }) });
    const [first, last] = [makeWorker('first'), makeWorker('last')];
    for (const worker of [first, broken, closed, last]) pool.add(worker);
    pool.broadcast({ type: 'news' });
    for (const { websocket } of [first, last]) expect(websocket.send.mock.calls).toEqual([['{"type":"news"}']]);
    expect(closed.websocket.send).not.toHaveBeenCalled();
  });

  test('throws what JSON.stringify throws, and sends nothing then', () => {
    const pool = new WorkerPool();
    const worker = makeWorker('a');
    pool.add(worker);
    expect(() => pool.broadcast({ n: 1n })).toThrow(TypeError);
    expect(worker.websocket.send).not.toHaveBeenCalled();
  });
});

describe('closeAll', () => {
  test('closes every socket with 1001 and empties the pool', () => {
    const pool = new WorkerPool();
    const broken = makeWorker('broken');
    broken.websocket.close.mockImplementation(() => {
      throw new Error('broken');
    });
    const other = makeWorker('other');
    pool.add(broken);
    pool.add(other);
    pool.trackRequest('other', 'r');
    pool.closeAll();
    expect(other.websocket.close.mock.calls).toEqual([[1001, 'Server shutting down']]);
    expect(pool.getCount()).toBe(0);
    expect([...pool.values()]).toEqual([]);
    expect(pool.getAvailableWorker('llama-3')).toBeNull();
    pool.releaseRequest('r');
    expect(other.activeRequests).toBe(1);
  });

  test('leaves a pool that can be filled again', () => {
    const pool = new WorkerPool();
    pool.add(makeWorker('a'));
    pool.closeAll();
    const worker = makeWorker('a');
    pool.add(worker);
    expect(pool.getAvailableWorker('llama-3')).toBe(worker);
  });
});
