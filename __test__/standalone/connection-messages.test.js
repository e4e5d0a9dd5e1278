'use strict';

const { UNKNOWN_INFO } = require('../support/infos.js');
const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { EmitterSocket, makeWorker, registrationOf } = require('../support/standalone.js');

const CONFIG = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

let logger;
let pool;
let handler;

function connect() {
  const ws = new EmitterSocket();
  handler.handleConnection(ws);
  return ws;
}

function connectWorker(id, more) {
  const ws = connect();
  ws.receive(registrationOf(id, more));
  ws.sent.length = 0;
  return ws;
}

beforeEach(() => {
  logger = recordingLogger();
  pool = new WorkerPool(logger);
  handler = new ConnectionHandler(pool, CONFIG, logger);
});

afterEach(() => {
  jest.restoreAllMocks();
});

describe('a message', () => {
  test('goes to the handlers of its type with the worker that sent it', () => {
    const got = [];
    handler.onMessage('result', (worker, message) => got.push([worker.id, message]));
    handler.onMessage('other', () => got.push('other'));
    connectWorker('a').receive({ type: 'result', n: 1 });
    expect(got).toEqual([['a', { type: 'result', n: 1 }]]);
  });

  test('is what JSON.parse returns, and the same object for each handler', () => {
    const got = [];
    for (let each = 0; each < 2; each += 1) handler.onMessage('x', (_, message) => got.push(message));
    const text = '{"type":"x","big":12345678901234567890,"a":1,"a":2,"__proto__":{"b":1},"lone":"\\ud800"}';
    connectWorker('a').receive(text);
    expect(got[0]).toBe(got[1]);
    expect(JSON.stringify(got[0])).toBe(JSON.stringify(JSON.parse(text)));
    expect(Object.hasOwn(got[0], '__proto__')).toBe(true);
  });

  test.each([
    ['a string', (text) => text],
    ['a Buffer', (text) => Buffer.from(text)],
    ['an ArrayBuffer', (text) => new TextEncoder().encode(text).buffer],
    ['a Uint8Array', (text) => new TextEncoder().encode(`  ${text}`).subarray(2)],
    ['parts', (text) => [Buffer.from(text).subarray(0, 20), Buffer.from(text).subarray(20)]],
  ])('may come as %s', (_, make) => {
    const got = jest.fn();
    handler.onMessage('x', got);
    const message = { type: 'x', text: 'grüße 🦀 grüße' };
    connectWorker('a').emit('message', make(JSON.stringify(message)));
    expect(got.mock.calls.map(([, received]) => received)).toEqual([message]);
  });

  test('from a socket that has not registered comes from the unknown worker', () => {
    const got = jest.fn();
    handler.onMessage('x', got);
    connect().receive({ type: 'x' });
    expect(got.mock.calls).toEqual([[UNKNOWN_INFO, { type: 'x' }]]);
  });

  test('shows the worker as it is then', () => {
    const statuses = [];
    handler.onMessage('x', ({ status, activeRequests }) => statuses.push([status, activeRequests]));
    const ws = connectWorker('a', { max: 1 });
    ws.receive({ type: 'x' });
    pool.trackRequest('a', 'r');
    ws.receive({ type: 'x' });
    expect(statuses).toEqual([
      ['available', 0],
      ['busy', 1],
    ]);
  });

  test.each([
    ['nonsense', { message: 'Invalid JSON message from worker' }],
    ['', { message: 'Invalid JSON message from worker' }],
    ['null', { message: 'Message missing type field' }],
    ['[]', { message: 'Message missing type field' }],
    ['{"type":5}', { message: 'Message missing type field' }],
    ['{"type":"x"}', { message: 'Unhandled message type from worker', context: { type: 'x' } }],
  ])('of the text %p is warned of, and the connection stays', (text, line) => {
    const ws = connectWorker('a');
    ws.receive(text);
    expect(logger.lines.at(-1)).toEqual({ level: 'warn', ...line });
    expect(ws.closed).toEqual([]);
    expect(pool.has('a')).toBe(true);
  });

  test('whose handler throws or rejects is logged, and the others still run', async () => {
    const got = [];
    handler.onMessage('x', () => {
      throw new Error('thrown');
    });
    handler.onMessage('x', async () => {
      throw new Error('rejected');
    });
    handler.onMessage('x', () => got.push('x'));
    connectWorker('a').receive({ type: 'x' });
    expect(got).toEqual(['x']);
    await logger.line('Error in message handler', ({ error }) => error === 'rejected');
    expect(logger.contexts('Error in message handler')).toEqual([
      { type: 'x', error: 'thrown' },
      { type: 'x', error: 'rejected' },
    ]);
  });

  test('goes to nobody who has unsubscribed', () => {
    const got = jest.fn();
    const unsubscribe = handler.onMessage('x', got);
    const ws = connectWorker('a');
    ws.receive({ type: 'x' });
    unsubscribe();
    unsubscribe();
    ws.receive({ type: 'x' });
    expect(got).toHaveBeenCalledTimes(1);
  });

  test('comes from the unknown worker once the caller took its worker out of the pool', () => {
    const got = jest.fn();
    handler.onMessage('x', got);
    const ws = connectWorker('a');
    pool.remove('a');
    ws.receive({ type: 'x' });
    expect(got.mock.calls[0][0].id).toBe('unknown');
  });
});

describe('a heartbeat', () => {
  const NOW = Date.UTC(2030, 0, 2, 3, 4, 5, 6);

  test('is answered with its own timestamp and the deadline of the next', () => {
    const ws = connectWorker('a');
    jest.spyOn(Date, 'now').mockReturnValue(NOW);
    jest.useFakeTimers({ now: NOW });
    ws.receive({ type: 'heartbeat', workerId: 'a', timestamp: '2030-01-02T00:00:00Z' });
    jest.useRealTimers();
    expect(ws.sent).toEqual([
      { type: 'heartbeat_ack', timestamp: '2030-01-02T00:00:00Z', nextHeartbeatDeadline: '2030-01-02T03:05:05.006Z' },
    ]);
    expect(pool.get('a').lastHeartbeat).toEqual(new Date(NOW));
  });

  test('without a timestamp is answered without one', () => {
    const ws = connectWorker('a');
    ws.receive({ type: 'heartbeat', workerId: 'a' });
    expect(Object.keys(ws.sent[0])).toEqual(['type', 'nextHeartbeatDeadline']);
  });

  test('sends back a timestamp of any kind', () => {
    const ws = connectWorker('a');
    for (const timestamp of [17, null, { deep: [1] }]) ws.receive({ type: 'heartbeat', workerId: 'a', timestamp });
    expect(ws.sent.map(({ timestamp }) => timestamp)).toEqual([17, null, { deep: [1] }]);
  });

  test.each([
    [0, 'available'],
    [1, 'available'],
    [2, 'busy'],
  ])('of an unhealthy worker with %d of 2 requests makes it %s', (activeRequests, status) => {
    const ws = connectWorker('a', { max: 2 });
    Object.assign(pool.get('a'), { status: 'unhealthy', activeRequests });
    ws.receive({ type: 'heartbeat', workerId: 'a', timestamp: 't' });
    expect(pool.get('a').status).toBe(status);
  });

  test('leaves a draining worker draining', () => {
    const ws = connectWorker('a');
    pool.get('a').status = 'draining';
    ws.receive({ type: 'heartbeat', workerId: 'a', timestamp: 't' });
    expect(pool.get('a').status).toBe('draining');
  });

  test('counts for the worker that it names, on any connection', () => {
    const worker = makeWorker('made-by-the-caller', { status: 'unhealthy', lastHeartbeat: new Date(0) });
    pool.add(worker);
    const ws = connect();
    ws.receive({ type: 'heartbeat', workerId: 'made-by-the-caller', timestamp: 't' });
    expect(worker.status).toBe('available');
    expect(worker.lastHeartbeat.getTime()).toBeGreaterThan(0);
    expect(ws.sent).toHaveLength(1);
    expect(worker.websocket.send).not.toHaveBeenCalled();
  });

  test.each(['nobody', 5, null, { a: 1 }])('of the unknown worker %p gets no answer but a warning', (workerId) => {
    const ws = connectWorker('a');
    ws.receive({ type: 'heartbeat', workerId, timestamp: 't' });
    expect(ws.sent).toEqual([]);
    expect(logger.lines.at(-1)).toEqual({
      level: 'warn',
      message: 'Heartbeat from unknown worker',
      context: { workerId },
    });
  });

  test('without an id is warned of with an undefined one', () => {
    connect().receive({ type: 'heartbeat', timestamp: 't' });
    expect(logger.contexts('Heartbeat from unknown worker')).toStrictEqual([{ workerId: undefined }]);
  });

  test('is no message of the application', () => {
    const got = jest.fn();
    handler.onMessage('heartbeat', got);
    handler.onMessage('worker_registration', got);
    connectWorker('a').receive({ type: 'heartbeat', workerId: 'a', timestamp: 't' });
    expect(got).not.toHaveBeenCalled();
  });
});
