'use strict';

// docs/PROTOCOL.md: its examples are JSON, and what the server sends has the members that it says, in that order.

const { readDocument } = require('../support/doc-examples.js');
const { startServer } = require('../support/server.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { connectWorker } = require('../support/worker.js');
const { ANSWER_TYPES } = require('../../lib/requests/wire.js');

const guide = readDocument('docs/PROTOCOL.md');
const examples = [...guide.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => JSON.parse(text));
const exchange = [...guide.matchAll(/^(server|worker) {2}(\{.*\})$/gm)].map(([, from, text]) => [
  from,
  JSON.parse(text),
]);
/** The further members of each type, as the tables have them. */
const rows = new Map(
  [...guide.matchAll(/^\| (?:server|worker) \| `(\w+)` \| ([^|]*) \|/gm)].map(([, type, members]) => [
    type,
    [...members.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  ]),
);
const exampleOf = (type, holds = () => true) => examples.find((message) => message.type === type && holds(message));

/** The members of a message that came, but for its type. */
const membersOf = ({ type: _, ...members }) => Object.keys(members);

test('every type that the server knows of a worker is in the tables', () => {
  for (const type of [...ANSWER_TYPES, 'worker_status', 'worker_update']) expect([...rows.keys()]).toContain(type);
});

test('a request has the members that the guide says, in their order', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { models: ['llama-3-8b'] });
  const { payload, model, category, requestId } = exampleOf('request');
  server.stream(payload, { model, category, requestId, timeoutMs: 599_900 });
  const request = await worker.nextRequest();
  expect({ ...request, timeoutMs: 599_900 }).toEqual(exampleOf('request'));
  expect(membersOf(request)).toEqual(membersOf(exampleOf('request')));
  expect([...membersOf(request), 'trace']).toEqual(rows.get('request'));
});

test('the exchange of the guide takes place', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { features: ['request', 'resume'] });
  const [[, { payload, requestId }]] = exchange;
  const progress = [];
  const stream = server.stream(payload, { requestId, onProgress: (data) => progress.push(data) });
  const { timeoutMs, ...request } = await worker.nextRequest();
  expect({ ...request, timeoutMs: Math.ceil(timeoutMs / 1_000) * 1_000 }).toEqual(exchange[0][1]);
  for (const [from, message] of exchange) if (from === 'worker') worker.send(message);
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect([progress, chunks, await stream.result]).toEqual([[{ tokens: 0 }], ['Good ', 'morning'], { tokens: 2 }]);
  expect(await worker.next('request_settled')).toEqual(exchange.at(-1)[1]);
  for (const [, message] of exchange) {
    expect(rows.get(message.type).filter((name) => membersOf(message).includes(name))).toEqual(membersOf(message));
  }
});

test('the ack of a worker that comes back has the members that the guide says, in their order', async () => {
  const { server } = await startServer();
  const features = ['request', 'resume'];
  const first = await connectRequestWorker(server, 'gpu-1', { features, slots: 4 });
  expect(membersOf(first.ack)).toEqual(membersOf(exampleOf('worker_registration_ack', (ack) => ack.features)));
  server.request('x', { requestId: 'r1' }).catch(() => {});
  await first.nextRequest();
  first.ws.terminate();
  const { resume } = exampleOf('worker_registration', (registration) => registration.resume);
  const again = { features, slots: 4, resume: { ...resume, sessionId: first.ack.sessionId } };
  const second = await connectRequestWorker(server, 'gpu-1', again);
  const promised = exampleOf('worker_registration_ack', (ack) => ack.resumed);
  expect(membersOf(second.ack)).toEqual(membersOf(promised));
  expect(second.ack).toMatchObject({ resumed: [{ ...promised.resumed[0], nextSeq: 0 }], dropped: promised.dropped });
});

test('what is said of changes and of draining has the members that the guide says', async () => {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  worker.send({ type: 'worker_status', status: 'draining', reason: 'SIGTERM' });
  expect(membersOf(await worker.next('worker_status_ack'))).toEqual(rows.get('worker_status_ack'));
  worker.send({ type: 'worker_update', capabilities: { models: 1 } });
  expect(membersOf(await worker.next('worker_update_ack'))).toEqual(rows.get('worker_update_ack'));
  server.request('x', { timeoutMs: Infinity }).catch(() => {}); // So that there is something to drain.
  server.drain().catch(() => {});
  expect(membersOf(await worker.next('server_draining'))).toEqual(membersOf(exampleOf('server_draining')));
});

test('a worker without the feature may use these types for itself', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const messages = [];
  server.onWorkerMessage('request_chunk', (_, message) => messages.push(message));
  worker.send({ type: 'request_chunk', own: true });
  await worker.sync();
  expect(messages).toEqual([{ type: 'request_chunk', own: true }]);
});
