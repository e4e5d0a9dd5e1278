'use strict';

// Registrations that can't be taken are answered, closed with 4002, and touch nothing else.

const { startServer } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker, registrationOf } = require('../support/worker.js');

const withCapabilities = (fields) => ({ capabilities: { ...capabilitiesOf(), ...fields } });

test.each([
  ['workerId', 'is missing', { workerId: undefined }],
  ['workerId', 'is null', { workerId: null }],
  ['workerId', 'is a number', { workerId: 7 }],
  ['workerId', 'is an object', { workerId: {} }],
  ['workerName', 'is a number', { workerName: 7 }],
  ['workerName', 'is a list', { workerName: [] }],
  ['capabilities', 'are missing', { capabilities: undefined }],
  ['capabilities', 'are null', { capabilities: null }],
  ['capabilities', 'are a string', { capabilities: 'all' }],
  ['capabilities', 'are a list', { capabilities: [] }],
  ['capabilities.models', 'are missing', withCapabilities({ models: undefined })],
  ['capabilities.models', 'are null', withCapabilities({ models: null })],
  ['capabilities.models', 'are an object', withCapabilities({ models: {} })],
  ['capabilities.models', 'are a string', withCapabilities({ models: 'model-a' })],
  ['capabilities.models[0]', 'is a string', withCapabilities({ models: ['model-a'] })],
  ['capabilities.models[1]', 'is null', withCapabilities({ models: [{ modelId: 'a' }, null] })],
  ['capabilities.models[0].modelId', 'is missing', withCapabilities({ models: [{}] })],
  ['capabilities.models[1].modelId', 'is a number', withCapabilities({ models: [{ modelId: 'a' }, { modelId: 1 }] })],
  ['capabilities.maxConcurrentRequests', 'is missing', withCapabilities({ maxConcurrentRequests: undefined })],
  ['capabilities.maxConcurrentRequests', 'is null', withCapabilities({ maxConcurrentRequests: null })],
  ['capabilities.maxConcurrentRequests', 'is a string', withCapabilities({ maxConcurrentRequests: '2' })],
  ['capabilities.maxConcurrentRequests', 'is negative', withCapabilities({ maxConcurrentRequests: -1 })],
  ['capabilities.concurrencyLimits', 'is a list', withCapabilities({ concurrencyLimits: [] })],
  ['capabilities.concurrencyLimits', 'is a number', withCapabilities({ concurrencyLimits: 3 })],
  ['capabilities.concurrencyLimits.chat', 'is a string', withCapabilities({ concurrencyLimits: { chat: '1' } })],
  ['capabilities.concurrencyLimits.chat', 'is null', withCapabilities({ concurrencyLimits: { chat: null } })],
])('%s that %s is named in the answer and closes with 4002', async (field, _, fields) => {
  const { server, log } = await startServer();
  const connected = jest.fn();
  server.onWorkerConnected(connected);
  const bystander = await connectWorker(server, 'bystander');
  const client = await connect(server);
  client.send(registrationOf('w', fields));
  const ack = await client.next();
  expect(await client.closed).toEqual({ code: 4002, reason: 'Invalid registration' });
  expect(Object.keys(ack)).toEqual(['type', 'success', 'error']);
  expect(ack).toMatchObject({ type: 'worker_registration_ack', success: false });
  expect(ack.error.startsWith(`Invalid registration: ${field}: `)).toBe(true);
  expect(ack.error.length).toBeGreaterThan(`Invalid registration: ${field}: `.length);
  expect(client.frames).toHaveLength(1);
  await log.line('Unregistered WebSocket connection closed');
  expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  expect(connected).toHaveBeenCalledTimes(1);
  expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['bystander']);
  await bystander.heartbeat();
});

test('a maximum that is infinite by overflow is refused', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  client.sendText(
    '{"type":"worker_registration","workerId":"w","capabilities":{"models":[],"maxConcurrentRequests":1e400}}',
  );
  expect((await client.next()).error).toMatch(/^Invalid registration: capabilities\.maxConcurrentRequests: /);
  expect((await client.closed).code).toBe(4002);
});

test('the token is judged before the fields', async () => {
  const { server } = await startServer({ authToken: 'secret' });
  const wrong = await connect(server);
  wrong.send({ type: 'worker_registration', authToken: 'no' });
  expect((await wrong.closed).code).toBe(4001);
  const right = await connect(server);
  right.send({ type: 'worker_registration', authToken: 'secret' });
  expect((await right.closed).code).toBe(4002);
});

test('a malformed registration for an id that is connected leaves that worker alone', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const rival = await connect(server);
  rival.send(registrationOf('w', { capabilities: null }));
  await rival.closed;
  expect(server.getWorkerInfo()[0].sessionId).toBe(worker.ack.sessionId);
  await worker.heartbeat();
});

test('a registered worker that sends a malformed registration is closed and leaves with its requests', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  server.trackRequest('w', 'r1');
  const left = new Promise((resolve) =>
    server.onWorkerDisconnected((info, pending) => resolve([info.id, [...pending]])),
  );
  worker.send(registrationOf('w', { capabilities: null }));
  expect((await worker.closed).code).toBe(4002);
  expect(await left).toEqual(['w', ['r1']]);
  expect(server.getWorkerCount()).toBe(0);
});

test.each([
  ['no models', { models: [] }],
  ['no slots', { maxConcurrentRequests: 0 }],
  ['a fractional maximum', { maxConcurrentRequests: 2.5 }],
  ['limits that are null', { concurrencyLimits: null }],
  ['limits of zero and below', { concurrencyLimits: { chat: 0, embed: -1 } }],
  ['fields of its own', { gpu: { name: 'x', memory: [1, 2] } }],
])('%s is no mistake', async (_, fields) => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w', withCapabilities(fields));
  expect(worker.ack.success).toBe(true);
  expect(server.getWorkerInfo()[0].capabilities).toEqual({ ...capabilitiesOf(), ...fields });
});

test.each([
  ['a category', withCapabilities({ concurrencyLimits: { LAST: 1 } }), { LAST: '"chat":null,"chat"' }],
  ['the model', withCapabilities({ models: [{ LAST: 'model-a' }] }), { LAST: '"modelId":7,"modelId"' }],
  ['the models', { capabilities: { LAST: [], maxConcurrentRequests: 1 } }, { LAST: '"models":"none","models"' }],
  [
    'the maximum',
    { capabilities: { models: [], LAST: 1 } },
    { LAST: '"maxConcurrentRequests":-1,"maxConcurrentRequests"' },
  ],
  ['the name', { workerName: undefined, LAST: 'W' }, { LAST: '"workerName":{},"workerName"' }],
])('of %s that is there twice the last counts, as V8 reads it', async (_, fields, { LAST }) => {
  const { server } = await startServer();
  const client = await connect(server);
  const text = JSON.stringify(registrationOf('w', fields)).replace('"LAST"', LAST);
  const ack = client.next('worker_registration_ack');
  client.sendText(text);
  expect((await ack).success).toBe(true);
  expect(server.getWorkerInfo()[0].capabilities).toEqual(JSON.parse(text).capabilities);
});
