'use strict';

// onConflict: two workers with one id.

const { createServer, startServer, until } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');

const IN_USE = 'Worker registration rejected: id in use';
const REFUSED = { type: 'worker_registration_ack', success: false, error: 'Id in use' };

async function expectRefused(server, fields = {}) {
  const client = await connect(server);
  expect(await client.register('w', fields)).toEqual(REFUSED);
  expect(await client.closed).toEqual({ code: 4009, reason: 'Id in use' });
}

test('with reject the worker that is there stays', async () => {
  const { server, log } = await startServer({ onConflict: 'reject' });
  const first = await connectWorker(server, 'w');
  server.trackRequest('w', 'r');
  await expectRefused(server);
  expect(log.contexts(IN_USE)).toEqual([{ workerId: 'w' }]);
  expect(log.lines.find(({ message }) => message === IN_USE).level).toBe('warn');
  expect((await first.sync()).sessionId).toBe(first.ack.sessionId);
  expect([...server.getWorkerInfo()[0].pendingRequestIds]).toEqual(['r']);
  expect((await connectWorker(server, 'other')).ack.success).toBe(true);
});

test.each([undefined, 'replace'])('with %p it is replaced', async (onConflict) => {
  const { server } = await startServer({ onConflict });
  const first = await connectWorker(server, 'w');
  expect((await connectWorker(server, 'w')).ack.success).toBe(true);
  expect(await first.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
});

test('what of a refused one comes behind its registration reaches no handler', async () => {
  const { server, log } = await startServer({ onConflict: 'reject', acceptUnregistered: true });
  const heard = [];
  server.onWorkerMessage('x', ({ id }) => heard.push(id));
  await connectWorker(server, 'w');
  const client = await connect(server);
  client.register('w');
  client.send({ type: 'x' });
  expect((await client.closed).code).toBe(4009);
  await log.line('Unregistered WebSocket connection closed');
  expect(heard).toEqual([]);
});

describe('a function decides', () => {
  test('with the worker that is there and the credentials of the new one', async () => {
    const onConflict = jest.fn(() => true);
    const { server } = await startServer({ onConflict });
    const first = await connectWorker(server, 'w', { workerName: 'First' });
    server.trackRequest('w', 'r', 'chat');
    const headers = { 'X-A': '1' };
    await connectWorker(server, 'w', { workerName: 'Second', authToken: 'given' }, { path: '/second', headers });
    expect(onConflict).toHaveBeenCalledTimes(1);
    const [existing, credentials] = onConflict.mock.calls[0];
    expect(existing).toMatchObject({ id: 'w', name: 'First', sessionId: first.ack.sessionId, activeRequests: 1 });
    expect(credentials).toEqual({
      workerId: 'w',
      workerName: 'Second',
      capabilities: capabilitiesOf(),
      authToken: 'given',
      url: '/second',
      headers: expect.objectContaining({ 'x-a': '1' }),
      remoteAddress: expect.any(String),
    });
    expect((await first.closed).code).toBe(4003);
  });

  test.each([
    ['false', () => false],
    ['undefined', () => undefined],
    ['1', () => 1],
    ['a promise, even of true', async () => true],
  ])('%s is a no', async (_, onConflict) => {
    const { server } = await startServer({ onConflict });
    await connectWorker(server, 'w');
    await expectRefused(server);
  });

  test.each([
    ['throws', () => { throw new Error('boom'); }], // prettier-ignore
    ['rejects', async () => { throw new Error('boom'); }], // prettier-ignore
  ])('one that %s is a no, and logged', async (_, onConflict) => {
    const { server, log } = await startServer({ onConflict });
    const first = await connectWorker(server, 'w');
    await expectRefused(server);
    expect(log.contexts('Error in onConflict')).toEqual([{ workerId: 'w', error: 'boom' }]);
    expect((await first.sync()).id).toBe('w');
  });

  test('it may tell the tenants apart by what the hook has said', async () => {
    const { server } = await startServer({
      authenticate: ({ authToken }) => ({ ok: true, context: { tenant: authToken } }),
      onConflict: ({ auth }, { authToken }) => auth.tenant === authToken,
    });
    const first = await connectWorker(server, 'w', { authToken: 'blue' });
    await expectRefused(server, { authToken: 'red' });
    expect((await first.sync()).auth).toEqual({ tenant: 'blue' });
    expect((await connectWorker(server, 'w', { authToken: 'blue' })).ack.success).toBe(true);
  });

  test('it may send the other one away, or stop the server', async () => {
    let server;
    const onConflict = jest.fn(() => {
      server.disconnectWorker('w');
      return true;
    });
    ({ server } = await startServer({ onConflict }));
    const first = await connectWorker(server, 'w');
    expect((await connectWorker(server, 'w')).ack.success).toBe(true);
    expect([1000, 4003]).toContain((await first.closed).code);
    onConflict.mockImplementation(() => {
      server.stop();
      return true;
    });
    const client = await connect(server);
    client.register('w');
    expect((await client.closed).code).toBe(1001);
  });
});

describe('no conflict is', () => {
  const options = () => ({ onConflict: jest.fn(() => false) });

  test('a registration that resumes the very session', async () => {
    const { server } = await startServer({ onConflict: 'reject' });
    const features = ['request', 'resume'];
    const first = await connectWorker(server, 'w', { features });
    const resume = (sessionId) => ({ features, resume: { sessionId, requests: [] } });
    await expectRefused(server, resume('another'));
    await expectRefused(server, { resume: null });
    const second = await connectWorker(server, 'w', resume(first.ack.sessionId));
    expect(second.ack.success).toBe(true);
    expect(await first.closed).toEqual({ code: 4003, reason: 'Replaced by new connection' });
  });

  test('a rival that is unhealthy', async () => {
    const { onConflict } = options();
    const { server } = await startServer({ onConflict, heartbeatTimeoutMs: 400, healthCheckIntervalMs: 10 });
    await connectWorker(server, 'w');
    await until(() => server.getWorkerInfo()[0].status === 'unhealthy');
    expect((await connectWorker(server, 'w')).ack.success).toBe(true);
    expect(onConflict).not.toHaveBeenCalled();
  });

  test('a rival that is closing', async () => {
    const { onConflict } = options();
    const { server } = await startServer({ onConflict });
    const first = await connectWorker(server, 'w');
    first.ws._socket.pause();
    server.disconnectWorker('w');
    expect((await connectWorker(server, 'w')).ack.success).toBe(true);
    expect(onConflict).not.toHaveBeenCalled();
  });

  test('a worker that registers again on its own connection', async () => {
    const { onConflict } = options();
    const { server } = await startServer({ onConflict });
    const worker = await connectWorker(server, 'w');
    expect((await worker.register('w')).success).toBe(true);
    expect(onConflict).not.toHaveBeenCalled();
  });

  test('an id that is free again', async () => {
    const { onConflict } = options();
    const { server } = await startServer({ onConflict });
    const first = await connectWorker(server, 'w');
    await first.close();
    await until(() => server.getWorkerCount() === 0);
    expect((await connectWorker(server, 'w')).ack.success).toBe(true);
    expect(onConflict).not.toHaveBeenCalled();
  });
});

test('it is judged when the new one would join, after the hook', async () => {
  const order = [];
  let decide;
  const { server } = await startServer({
    authenticate: ({ workerName }) => {
      order.push(`authenticate ${workerName}`);
      return workerName === 'First' || new Promise((resolve) => (decide = resolve));
    },
    onConflict: ({ name }, { workerName }) => {
      order.push(`onConflict ${name} ${workerName}`);
      return false;
    },
  });
  const client = await connect(server);
  const ack = client.register('w', { workerName: 'Second' });
  await until(() => decide !== undefined);
  // The other one comes while the first to come is being judged.
  await connectWorker(server, 'w', { workerName: 'First' });
  decide(true);
  expect(await ack).toEqual(REFUSED);
  expect(order).toEqual(['authenticate Second', 'authenticate First', 'onConflict First Second']);
});

test('conflicts do not count as failed authentications', async () => {
  const { server } = await startServer({ onConflict: 'reject', limits: { maxAuthFailures: 1 } });
  await connectWorker(server, 'w');
  await expectRefused(server);
  await expectRefused(server);
  expect((await connectWorker(server, 'other')).ack.success).toBe(true);
});

test.each([
  [null, "options.onConflict must be 'replace', 'reject' or a function, got null"],
  ['keep', "options.onConflict must be 'replace', 'reject' or a function, got 'keep'"],
  [true, "options.onConflict must be 'replace', 'reject' or a function, got true"],
])('onConflict can not be %p', (onConflict, message) => {
  expect(() => createServer({ onConflict })).toThrow(new TypeError(message));
});
