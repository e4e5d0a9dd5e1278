'use strict';

const { ConnectionHandler, WorkerPool } = require('../support/package.js');
const { recordingLogger } = require('../support/logger.js');
const { EmitterSocket, registrationOf } = require('../support/standalone.js');

const CONFIG = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function start(config = {}) {
  const logger = recordingLogger();
  const pool = new WorkerPool();
  const handler = new ConnectionHandler(pool, { ...CONFIG, ...config }, logger);
  const connect = () => {
    const ws = new EmitterSocket();
    handler.handleConnection(ws);
    return ws;
  };
  return { logger, pool, handler, connect };
}

test('a registration is answered, put into the pool, logged, and passed to the handlers', () => {
  const { logger, pool, handler, connect } = start();
  const connected = jest.fn();
  handler.onWorkerConnected(connected);
  const ws = connect();
  ws.receive(registrationOf('a', { max: 3 }));

  expect(ws.sent).toEqual([
    {
      type: 'worker_registration_ack',
      success: true,
      sessionId: expect.stringMatching(UUID_V4),
      heartbeatIntervalMs: 15_000,
    },
  ]);
  expect(Object.keys(ws.sent[0])).toEqual(['type', 'success', 'sessionId', 'heartbeatIntervalMs']);
  expect(connected.mock.calls).toEqual([[expect.objectContaining({ id: 'a', name: 'Worker a', status: 'available' })]]);
  expect(connected.mock.calls[0][0]).not.toHaveProperty('websocket');
  expect(connected.mock.calls[0][0].sessionId).toBe(ws.sent[0].sessionId);
  expect(logger.lines).toEqual([
    { level: 'debug', message: 'New WebSocket connection from potential worker' },
    {
      level: 'debug',
      message: 'Worker registered',
      context: { workerId: 'a', workerName: 'Worker a', models: ['llama-3'], maxConcurrentRequests: 3 },
    },
  ]);
  expect(pool.getCount()).toBe(1);
});

test('the worker in the pool has all fields, and the very socket', () => {
  const { pool, connect } = start();
  const ws = connect();
  ws.receive(registrationOf('a'));
  const worker = pool.get('a');
  expect(worker).toEqual({
    id: 'a',
    name: 'Worker a',
    websocket: ws,
    capabilities: registrationOf('a').capabilities,
    status: 'available',
    sessionId: ws.sent[0].sessionId,
    connectedAt: expect.any(Date),
    lastHeartbeat: expect.any(Date),
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
  });
  expect(worker.websocket).toBe(ws);
});

test('capabilities carry all that the worker sent', () => {
  const { pool, connect } = start();
  const capabilities = {
    models: [{ modelId: 'm', size: 7 }],
    maxConcurrentRequests: 1.5,
    gpu: { name: 'x' },
    metadata: null,
  };
  connect().receive(registrationOf('a', { capabilities }));
  expect(pool.get('a').capabilities).toEqual(capabilities);
});

test('the ack is sent, and the worker in the pool, before the connected handlers run', () => {
  const { pool, handler, connect } = start();
  const ws = connect();
  const seen = [];
  handler.onWorkerConnected(({ id }) => seen.push([ws.sent.length, pool.has(id)]));
  ws.receive(registrationOf('a'));
  expect(seen).toEqual([[1, true]]);
});

test('a missing name is the id', () => {
  const { pool, connect } = start();
  connect().receive(registrationOf('a', { workerName: undefined }));
  expect(pool.get('a').name).toBe('a');
});

describe('with a token configured', () => {
  test('the right one is accepted', () => {
    const { pool, connect } = start({ authToken: 'secret' });
    connect().receive(registrationOf('a', { authToken: 'secret' }));
    expect(pool.has('a')).toBe(true);
  });

  test.each([
    ['a wrong one', 'secrets'],
    ['a missing one', undefined],
    ['a number', 5],
  ])('%s is refused', (_, authToken) => {
    const { logger, pool, connect } = start({ authToken: 'secret' });
    const ws = connect();
    ws.receive(registrationOf('a', { authToken }));
    expect(ws.sent).toEqual([
      { type: 'worker_registration_ack', success: false, error: 'Invalid authentication token' },
    ]);
    expect(ws.closed).toEqual([{ code: 4001, reason: 'Authentication failed' }]);
    expect(pool.getCount()).toBe(0);
    expect(logger.lines.slice(1)).toEqual([
      { level: 'warn', message: 'Worker registration rejected: invalid auth token', context: { workerId: 'a' } },
    ]);
    expect(JSON.stringify(logger.lines)).not.toContain('secret');
  });

  test('what a refused peer says afterwards is ignored', () => {
    const { logger, pool, connect } = start({ authToken: 'secret' });
    const ws = connect();
    ws.receive(registrationOf('a', { authToken: 'wrong' }));
    const before = logger.lines.length;
    ws.receive(registrationOf('a', { authToken: 'secret' }));
    ws.receive({ type: 'x' });
    ws.receive('nonsense');
    expect(pool.getCount()).toBe(0);
    expect(ws.sent).toHaveLength(1);
    expect(logger.lines).toHaveLength(before);
  });

  test('an empty one accepts a missing one', () => {
    const { pool, connect } = start({ authToken: '' });
    connect().receive(registrationOf('a'));
    expect(pool.has('a')).toBe(true);
  });
});

test.each([
  [{ workerId: undefined }, 'workerId: expected a string, got nothing'],
  [{ workerId: 5 }, 'workerId: expected a string, got a number'],
  [{ workerName: {} }, 'workerName: expected a string, got an object'],
  [{ capabilities: undefined }, 'capabilities: expected an object, got nothing'],
  [{ capabilities: { models: 'm' } }, 'capabilities.models: expected an array, got a string'],
  [{ capabilities: { models: [{}] } }, 'capabilities.models[0].modelId: expected a string, got nothing'],
  [
    { capabilities: { models: [], maxConcurrentRequests: -1 } },
    'capabilities.maxConcurrentRequests: expected a finite number that is not negative, got -1',
  ],
])('a malformed registration is answered, closed with 4002 and logged (case %#)', (fields, problem) => {
  const { logger, pool, handler, connect } = start();
  const connected = jest.fn();
  handler.onWorkerConnected(connected);
  const ws = connect();
  const message = registrationOf('a', fields);
  ws.receive(message);
  const error = `Invalid registration: ${problem}`;
  expect(ws.sent).toEqual([{ type: 'worker_registration_ack', success: false, error }]);
  expect(ws.closed).toEqual([{ code: 4002, reason: 'Invalid registration' }]);
  const context =
    'workerId' in fields && fields.workerId === undefined ? { error } : { workerId: message.workerId, error };
  expect(logger.lines.slice(1)).toEqual([
    { level: 'warn', message: 'Worker registration rejected: invalid registration', context },
  ]);
  expect(connected).not.toHaveBeenCalled();
  expect(pool.getCount()).toBe(0);
});

test('a socket whose send or close throws is complained of, and nothing else happens', () => {
  const { logger, pool, handler } = start();
  const ws = new EmitterSocket();
  ws.send = () => {
    throw new Error('send failed');
  };
  ws.close = () => {
    throw new Error('close failed');
  };
  handler.handleConnection(ws);
  ws.receive(registrationOf('a'));
  expect(pool.has('a')).toBe(true);
  expect(logger.contexts('Worker WebSocket error')).toEqual([{ error: 'send failed' }]);
  ws.receive(registrationOf('a', { capabilities: null }));
  expect(logger.contexts('Worker WebSocket error').slice(1)).toEqual([
    { error: 'send failed' },
    { error: 'close failed' },
  ]);
});

test('without a logger nothing is logged, and all works', () => {
  const pool = new WorkerPool();
  const handler = new ConnectionHandler(pool, CONFIG);
  const ws = new EmitterSocket();
  handler.handleConnection(ws);
  ws.receive('nonsense');
  ws.receive(registrationOf('a'));
  expect(pool.has('a')).toBe(true);
});
