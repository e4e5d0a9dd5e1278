'use strict';

const { startServer, nextCall, until } = require('../support/server');
const { openWorker } = require('../support/socket');
const { RawWebSocket, frame, json, registration, closePayload, CLOSE } = require('../support/raw');

/** All events of a server in order, as short texts. */
function record(server) {
  const events = [];
  server.onWorkerConnected((worker) => events.push(`connected ${worker.id}`));
  server.onWorkerDisconnected((worker, pending) =>
    events.push(`disconnected ${worker.id} ${[...pending].join()}`.trim()),
  );
  server.onWorkerMessage('note', (worker, { n }) => events.push(`${worker.id} ${n}`));
  return events;
}

const notes = (from, to) => Array.from({ length: to - from }, (_, i) => json({ type: 'note', n: from + i }));

test('I2: connected, the messages in order, disconnected, even if all came in one packet', async () => {
  const { server, port } = await startServer();
  const events = record(server);
  const after = Buffer.concat([json(registration('w')), ...notes(0, 100), frame(CLOSE, closePayload(1000))]);
  const raw = await RawWebSocket.connect(port, { after });
  await raw.close();
  await until(() => events.at(-1) === 'disconnected w');
  expect(events).toEqual(['connected w', ...Array.from({ length: 100 }, (_, n) => `w ${n}`), 'disconnected w']);
});

test('I2: messages before the registration come from an unknown worker, those after it from the worker', async () => {
  const { server, port } = await startServer();
  const events = record(server);
  await RawWebSocket.connect(port, { after: Buffer.concat([...notes(0, 3), json(registration('w')), ...notes(3, 6)]) });
  await until(() => events.length === 7);
  expect(events).toEqual(['unknown 0', 'unknown 1', 'unknown 2', 'connected w', 'w 3', 'w 4', 'w 5']);
});

test('I2: a worker that is cut is disconnected after its last message, and nothing follows', async () => {
  const { server, port } = await startServer();
  const events = record(server);
  for (let round = 0; round < 50; round += 1) {
    const id = `w${round}`;
    const raw = await RawWebSocket.register(port, id);
    raw.socket.end(Buffer.concat(notes(0, 20)));
    await until(() => events.at(-1) === `disconnected ${id}`);
    expect(events.splice(0)).toEqual([
      `connected ${id}`,
      ...Array.from({ length: 20 }, (_, n) => `${id} ${n}`),
      `disconnected ${id}`,
    ]);
  }
});

test('I2: at a replacement the disconnected event of the old session comes before the connected event of the new one', async () => {
  const { server, port } = await startServer();
  const events = record(server);
  const old = await openWorker(port, 'w');
  await openWorker(port, 'other');
  server.trackRequest('w', 'pending');
  const counts = [];
  server.onWorkerDisconnected(() => counts.push(server.getWorkerCount()));
  await openWorker(port, 'w');
  expect(events).toEqual(['connected w', 'connected other', 'disconnected w pending', 'connected w']);
  expect(counts).toEqual([1]);
  expect(server.getWorkerInfo().map(({ id, activeRequests }) => [id, activeRequests])).toEqual([
    ['other', 0],
    ['w', 0],
  ]);
  expect(await old.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
  // The end of the old socket removes nothing.
  expect(events).toHaveLength(4);
  expect(server.getWorkerCount()).toBe(2);
});

test('I2: a replaced session without pending requests owes no disconnected event', async () => {
  const { server, port } = await startServer();
  const events = record(server);
  const old = await openWorker(port, 'w');
  await openWorker(port, 'w');
  await old.closed;
  expect(events).toEqual(['connected w', 'connected w']);
});

test('I2: messages of a replaced session no longer come from the worker', async () => {
  const { server, port, log } = await startServer();
  const events = record(server);
  const old = await RawWebSocket.register(port, 'w');
  const replacement = await openWorker(port, 'w');
  expect((await old.close()).code).toBe(4003);
  // It has not answered the close frame yet: it sends on.
  old.write(Buffer.concat([...notes(0, 5), frame(CLOSE, closePayload(4003))]));
  await old.end();
  await log.line('Unregistered WebSocket connection closed');
  replacement.send({ type: 'note', n: 'new' });
  await until(() => events.at(-1) === 'w new');
  expect(events.filter((event) => event.startsWith('w '))).toEqual(['w new']);
});

test("I2: messages that were read before a replacement are the old session's, those after it are not", async () => {
  const { server, port } = await startServer();
  const sessions = [];
  server.onWorkerConnected(({ id, sessionId }) => {
    if (id === 'w') sessions.push(sessionId);
  });
  const seen = [];
  server.onWorkerMessage('note', (worker) => seen.push([worker.sessionId, sessions.length]));
  // Both sockets send as fast as they can; each message must be of the session that is the current one, or of nobody.
  for (let round = 0; round < 20; round += 1) {
    const raw = await RawWebSocket.register(port, 'w');
    raw.write(Buffer.concat(notes(0, 200)));
  }
  const last = await openWorker(port, 'end');
  const end = nextCall((resolve) => server.onWorkerMessage('end', resolve));
  last.send({ type: 'end' });
  await end;
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter(([sessionId, count]) => sessionId !== '' && sessionId !== sessions[count - 1])).toEqual([]);
});

test('I2: what is sent to a worker leaves in order, across send and broadcast', async () => {
  const { server, port } = await startServer();
  const worker = await openWorker(port, 'w');
  for (let n = 0; n < 5000; n += 1) {
    if (n % 7 === 0) server.broadcast({ n });
    else expect(server.send('w', { n })).toBe(true);
    if (n % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (let n = 0; n < 5000; n += 1) expect(await worker.nextJson()).toEqual({ n });
});

test('I2: what is sent in the connected handler arrives after the acknowledgement', async () => {
  const { server, port } = await startServer();
  server.onWorkerConnected((worker) => server.send(worker.id, { type: 'welcome' }));
  for (let round = 0; round < 20; round += 1) {
    const worker = await openWorker(port, `w${round}`);
    expect(worker.ack.type).toBe('worker_registration_ack');
    expect(await worker.nextJson()).toEqual({ type: 'welcome' });
  }
});
