'use strict';

// How a worker leaves: its socket ends, or another registration takes its place.

const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { EmitterSocket, makeWorker, registrationOf } = require('../support/standalone.js');

const CONFIG = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

let logger;
let pool;
let handler;
/** Handler calls, in order: what, the worker's id, and its pending ids. */
let calls;

function connect() {
  const ws = new EmitterSocket();
  handler.handleConnection(ws);
  return ws;
}

function connectWorker(id, more) {
  const ws = connect();
  ws.receive(registrationOf(id, more));
  return ws;
}

/** The lines since the last call, without the levels. */
function newLines() {
  return logger.lines.splice(0).map(({ message, context }) => (context === undefined ? [message] : [message, context]));
}

beforeEach(() => {
  logger = recordingLogger();
  pool = new WorkerPool(logger);
  handler = new ConnectionHandler(pool, CONFIG, logger);
  calls = [];
  handler.onWorkerConnected(({ id }) => calls.push(['connected', id]));
  handler.onWorkerDisconnected(({ id }, pending) => calls.push(['disconnected', id, [...pending]]));
});

describe('a socket that ends', () => {
  test('takes its worker out of the pool and notifies the handlers', () => {
    const ws = connectWorker('a');
    newLines();
    ws.end(1000, 'done');
    expect(pool.has('a')).toBe(false);
    expect(calls).toEqual([
      ['connected', 'a'],
      ['disconnected', 'a', []],
    ]);
    expect(newLines()).toEqual([['Worker disconnected', { workerId: 'a', code: 1000, reason: 'done' }]]);
  });

  test('passes on the requests that were pending, in a Set of their own', () => {
    const ws = connectWorker('a');
    pool.trackRequest('a', 'r0');
    pool.trackRequest('a', 'r1');
    const worker = pool.get('a');
    let told;
    handler.onWorkerDisconnected((info, pending) => {
      told = { info, pending };
    });
    newLines();
    ws.end();
    expect(calls.at(-1)).toEqual(['disconnected', 'a', ['r0', 'r1']]);
    expect(told.info.pendingRequestIds).toBe(worker.pendingRequests);
    expect(told.pending).toBeInstanceOf(Set);
    expect(told.pending).not.toBe(worker.pendingRequests);
    expect(newLines()).toEqual([
      ['Worker disconnected with pending requests', { workerId: 'a', count: 2 }],
      ['Worker disconnected', { workerId: 'a', code: 1006, reason: '' }],
    ]);
  });

  test('has taken its worker out before the handlers run', () => {
    const seen = [];
    handler.onWorkerDisconnected(({ id }) => seen.push(pool.has(id)));
    connectWorker('a').end();
    expect(seen).toEqual([false]);
  });

  test('that never registered is only logged', () => {
    connect().end(1001, 'bye');
    expect(newLines()).toEqual([
      ['New WebSocket connection from potential worker'],
      ['Unregistered WebSocket connection closed', { code: 1001, reason: 'bye' }],
    ]);
    expect(calls).toEqual([]);
  });

  test('does nothing to a worker that the caller took out of the pool before', () => {
    const ws = connectWorker('a');
    pool.remove('a');
    newLines();
    ws.end(1000);
    expect(calls).toEqual([['connected', 'a']]);
    expect(newLines()).toEqual([['Unregistered WebSocket connection closed', { code: 1000, reason: '' }]]);
  });

  test('ends its worker once, even if it ends twice', () => {
    const ws = connectWorker('a');
    ws.end();
    ws.end();
    expect(calls).toEqual([
      ['connected', 'a'],
      ['disconnected', 'a', []],
    ]);
  });

  test('with an error is complained of', () => {
    const ws = connectWorker('a');
    newLines();
    ws.emit('error', new Error('ECONNRESET'));
    expect(newLines()).toEqual([['Worker WebSocket error', { error: 'ECONNRESET' }]]);
    expect(pool.has('a')).toBe(true);
  });

  test('has all its handlers run, though one throws and one rejects', async () => {
    handler.onWorkerDisconnected(() => {
      throw new Error('thrown');
    });
    handler.onWorkerDisconnected(() => Promise.reject(new Error('rejected')));
    const last = jest.fn();
    handler.onWorkerDisconnected(last);
    connectWorker('a').end();
    expect(last).toHaveBeenCalledTimes(1);
    await logger.line('Error in disconnected handler', ({ error }) => error === 'rejected');
    expect(logger.contexts('Error in disconnected handler')).toEqual([{ error: 'thrown' }, { error: 'rejected' }]);
  });
});

describe('a registration of an id that is connected', () => {
  test('replaces the other worker, whose socket is closed', () => {
    const old = connectWorker('a');
    connectWorker('b');
    newLines();
    const young = connectWorker('a');
    expect(old.closed).toEqual([{ code: 4003, reason: 'Replaced by new connection' }]);
    expect(pool.get('a').websocket).toBe(young);
    expect([...pool.values()].map(({ id }) => id)).toEqual(['b', 'a']);
    expect(newLines().map(([message]) => message)).toEqual([
      'New WebSocket connection from potential worker',
      'Replacing existing worker connection',
      'Worker registered',
    ]);
    expect(calls.slice(2)).toEqual([['connected', 'a']]);
  });

  test('passes on the requests that were pending, before the new worker is there', () => {
    connectWorker('a');
    pool.trackRequest('a', 'r');
    const seen = [];
    handler.onWorkerDisconnected(({ id }) => seen.push(pool.has(id)));
    newLines();
    connectWorker('a');
    expect(calls.slice(1)).toEqual([
      ['disconnected', 'a', ['r']],
      ['connected', 'a'],
    ]);
    expect(seen).toEqual([false]);
    expect(newLines().slice(1)).toEqual([
      ['Replacing existing worker connection', { workerId: 'a' }],
      ['Replaced worker had pending requests', { workerId: 'a', count: 1 }],
      ['Worker registered', expect.objectContaining({ workerId: 'a' })],
    ]);
    expect(pool.get('a').activeRequests).toBe(0);
  });

  test('leaves the old socket without a worker: its messages come from nobody, its end removes nothing', () => {
    const old = connectWorker('a');
    connectWorker('a');
    const senders = [];
    handler.onMessage('x', ({ id }) => senders.push(id));
    old.receive({ type: 'x' });
    old.end(4003);
    expect(senders).toEqual(['unknown']);
    expect(pool.has('a')).toBe(true);
    expect(calls.filter(([what]) => what === 'disconnected')).toEqual([]);
  });

  test('replaces a worker that the caller made and added', () => {
    const worker = makeWorker('a');
    pool.add(worker);
    const ws = connectWorker('a');
    expect(worker.websocket.close.mock.calls).toEqual([[4003, 'Replaced by new connection']]);
    expect(pool.get('a').websocket).toBe(ws);
  });
});

describe('a second registration on the same socket', () => {
  test('under the same id starts a new session, and the socket stays', () => {
    const ws = connectWorker('a');
    const before = pool.get('a');
    ws.receive(registrationOf('a', { max: 9 }));
    expect(ws.closed).toEqual([]);
    expect(pool.get('a')).not.toBe(before);
    expect(pool.get('a').capabilities.maxConcurrentRequests).toBe(9);
    expect(ws.sent[0].sessionId).not.toBe(ws.sent[1].sessionId);
    expect(calls).toEqual([
      ['connected', 'a'],
      ['connected', 'a'],
    ]);
  });

  test('under the same id passes on the requests that were pending', () => {
    const ws = connectWorker('a');
    pool.trackRequest('a', 'r');
    ws.receive(registrationOf('a'));
    expect(calls).toEqual([
      ['connected', 'a'],
      ['disconnected', 'a', ['r']],
      ['connected', 'a'],
    ]);
    expect(pool.get('a').pendingRequests.size).toBe(0);
  });

  test('under another id makes the worker of the first leave', () => {
    const ws = connectWorker('a');
    pool.trackRequest('a', 'r');
    ws.receive(registrationOf('b'));
    expect([...pool.values()].map(({ id }) => id)).toEqual(['b']);
    expect(calls).toEqual([
      ['connected', 'a'],
      ['disconnected', 'a', ['r']],
      ['connected', 'b'],
    ]);
    const senders = [];
    handler.onMessage('x', ({ id }) => senders.push(id));
    ws.receive({ type: 'x' });
    expect(senders).toEqual(['b']);
    ws.end();
    expect(pool.getCount()).toBe(0);
    expect(calls.at(-1)).toEqual(['disconnected', 'b', []]);
  });

  test('under the id of another worker replaces that one too', () => {
    const other = connectWorker('b');
    const ws = connectWorker('a');
    ws.receive(registrationOf('b'));
    expect(other.closed).toEqual([{ code: 4003, reason: 'Replaced by new connection' }]);
    expect([...pool.values()].map(({ websocket }) => websocket)).toEqual([ws]);
  });
});

test('closing the pool makes no disconnected events', () => {
  const sockets = ['a', 'b'].map((id) => connectWorker(id));
  pool.closeAll();
  for (const ws of sockets) ws.end(1001, 'Server shutting down');
  expect(sockets.map(({ closed }) => closed)).toEqual(
    sockets.map(() => [{ code: 1001, reason: 'Server shutting down' }]),
  );
  expect(calls.filter(([what]) => what === 'disconnected')).toEqual([]);
});
