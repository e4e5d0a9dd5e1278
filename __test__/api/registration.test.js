'use strict';

// How a worker joins: token, acknowledgement, handshake.

const WebSocket = require('ws');
const { nextCall, startServer } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker, registrationOf } = require('../support/worker.js');

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const REFUSAL = '{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}';

test('a registration is acknowledged with exactly these keys in this order', async () => {
  const { server } = await startServer({ heartbeatIntervalMs: 1234 });
  const worker = await connectWorker(server);
  const { sessionId } = worker.ack;
  expect(sessionId).toMatch(UUID_V4);
  expect(worker.frames).toEqual([
    `{"type":"worker_registration_ack","success":true,"sessionId":"${sessionId}","heartbeatIntervalMs":1234}`,
  ]);
});

test('the default heartbeat interval is 15 seconds', async () => {
  const { server } = await startServer();
  expect((await connectWorker(server)).ack.heartbeatIntervalMs).toBe(15_000);
});

test('a fractional heartbeat interval is passed on as it is', async () => {
  const { server } = await startServer({ heartbeatIntervalMs: 0.5 });
  expect((await connectWorker(server)).ack.heartbeatIntervalMs).toBe(0.5);
});

test('each registration has a session id of its own', async () => {
  const { server } = await startServer();
  const acks = [];
  for (const id of ['a', 'b', 'a']) acks.push((await connectWorker(server, id)).ack.sessionId);
  expect(new Set(acks).size).toBe(3);
});

test('the connected handlers get the worker as it registered', async () => {
  const { server } = await startServer();
  const before = Date.now();
  const connected = nextCall((handler) => server.onWorkerConnected(handler));
  const { ack } = await connectWorker(server, 'w1', { workerName: 'First' });
  const [worker, ...rest] = await connected;
  expect(rest).toEqual([]);
  expect(worker).toMatchObject({
    id: 'w1',
    name: 'First',
    status: 'available',
    capabilities: capabilitiesOf(),
    sessionId: ack.sessionId,
    activeRequests: 0,
    completedRequests: 0,
  });
  expect(worker.connectedAt).toEqual(worker.lastHeartbeat);
  expect(worker.connectedAt.getTime()).toBeGreaterThanOrEqual(before - 1);
  expect(worker.connectedAt.getTime()).toBeLessThanOrEqual(Date.now());
});

test('inside the connected handler every query knows the worker', async () => {
  const { server } = await startServer();
  const seen = new Promise((resolve) => {
    server.onWorkerConnected(() => {
      resolve([
        server.getWorkerCount(),
        server.getAvailableWorkerCount(),
        server.getAvailableWorker('model-a').id,
        server.getAvailableSlotCount('model-a'),
        server.getWorkerInfo()[0].id,
        server.send('w1', { type: 'hello' }),
      ]);
    });
  });
  const worker = await connectWorker(server);
  expect(await seen).toEqual([1, 1, 'w1', 2, 'w1', true]);
  await worker.next('hello');
  expect(worker.frames[0]).toContain('worker_registration_ack');
});

test('when the acknowledgement arrives the worker is there', async () => {
  const { server } = await startServer();
  await connectWorker(server);
  expect(server.getWorkerCount()).toBe(1);
});

test.each([
  ['workerName missing', undefined],
  ['workerName null', null],
])('%s: the id stands in', async (_, workerName) => {
  const { server } = await startServer();
  await connectWorker(server, 'w7', { workerName });
  expect(server.getWorkerInfo()[0].name).toBe('w7');
});

test.each(['/', '/ws', '/any/thing?x=1', '/%20'])('an upgrade to %s is a worker connection', async (path) => {
  const { server } = await startServer();
  await connectWorker(server, 'w', {}, { path });
  expect(server.getWorkerCount()).toBe(1);
});

test('a registration in a binary frame is taken', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  client.ws.send(Buffer.from(JSON.stringify(registrationOf('w'))), { binary: true });
  expect((await client.next('worker_registration_ack')).success).toBe(true);
});

test('a registration in pieces is taken', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  const text = JSON.stringify(registrationOf('w'));
  client.ws.send(text.slice(0, 20), { fin: false });
  client.ws.send(text.slice(20), { fin: true });
  expect((await client.next('worker_registration_ack')).success).toBe(true);
});

test.each(['', 'w w', 'wörker-✓-\u{1F600}', 'a'.repeat(10_000), '__proto__', 'constructor'])(
  'any string is an id: %.20s',
  async (id) => {
    const { server } = await startServer();
    const worker = await connectWorker(server, id);
    expect(server.getWorkerInfo()[0].id).toBe(id);
    expect(server.send(id, { type: 'x' })).toBe(true);
    await worker.next('x');
  },
);

describe('with a token configured', () => {
  const authToken = 'geheim-✓';

  test('the right one registers', async () => {
    const { server } = await startServer({ authToken });
    expect((await connectWorker(server, 'w', { authToken })).ack.success).toBe(true);
  });

  test.each([
    ['missing', undefined],
    ['null', null],
    ['empty', ''],
    ['wrong', 'other'],
    ['a prefix', 'geheim'],
    ['longer', 'geheim-✓✓'],
    ['a number', 5],
    ['an object', {}],
    ['a list that holds it', ['geheim-✓']],
  ])('one that is %s is refused with 4001', async (_, given) => {
    const { server, log } = await startServer({ authToken });
    const connected = jest.fn();
    server.onWorkerConnected(connected);
    const client = await connect(server);
    client.send(registrationOf('w', { authToken: given }));
    expect(await client.closed).toEqual({ code: 4001, reason: 'Authentication failed' });
    expect(client.frames).toEqual([REFUSAL]);
    await log.line('Unregistered WebSocket connection closed');
    expect(connected).not.toHaveBeenCalled();
    expect(server.getWorkerCount()).toBe(0);
  });

  test('a refused socket is not heard any more', async () => {
    const { server, log } = await startServer({ authToken });
    const handler = jest.fn();
    server.onWorkerMessage('x', handler);
    const client = await connect(server);
    client.send(registrationOf('w'));
    client.send({ type: 'x' });
    client.send(registrationOf('w', { authToken }));
    await client.closed;
    await log.line('Unregistered WebSocket connection closed');
    expect(handler).not.toHaveBeenCalled();
    expect(server.getWorkerCount()).toBe(0);
    expect(client.frames).toEqual([REFUSAL]);
  });

  test('a worker that is connected is not touched by a rival with the wrong token', async () => {
    const { server } = await startServer({ authToken });
    const worker = await connectWorker(server, 'w', { authToken });
    const rival = await connect(server);
    rival.send(registrationOf('w', { authToken: 'no' }));
    await rival.closed;
    expect(server.getWorkerInfo()[0].sessionId).toBe(worker.ack.sessionId);
    expect(server.send('w', { type: 'x' })).toBe(true);
    await worker.next('x');
  });
});

test('with an empty token configured a missing one passes and another does not', async () => {
  const { server } = await startServer({ authToken: '' });
  expect((await connectWorker(server, 'a')).ack.success).toBe(true);
  expect((await connectWorker(server, 'b', { authToken: '' })).ack.success).toBe(true);
  const client = await connect(server);
  client.send(registrationOf('c', { authToken: 'x' }));
  expect((await client.closed).code).toBe(4001);
});

test('without a token configured any is ignored', async () => {
  const { server } = await startServer();
  expect((await connectWorker(server, 'w', { authToken: 'whatever' })).ack.success).toBe(true);
});

test('of the subprotocols offered the first is chosen', async () => {
  const { server } = await startServer();
  const client = await connect(server, { protocols: ['second-rate', 'worker.v1'] });
  expect(client.ws.protocol).toBe('second-rate');
});

test('none is chosen when none is offered', async () => {
  const { server } = await startServer();
  expect((await connect(server)).ws.protocol).toBe('');
});

test('no extension is negotiated, though the client offers compression', async () => {
  const { server } = await startServer();
  const ws = new WebSocket(`ws://localhost:${server.port}/`, { perMessageDeflate: true });
  const opened = new Promise((resolve) => ws.once('open', resolve));
  const response = await new Promise((resolve) => ws.once('upgrade', resolve));
  await opened;
  expect(response.headers).not.toHaveProperty('sec-websocket-extensions');
  expect(ws.extensions).toBe('');
  ws.terminate();
});
