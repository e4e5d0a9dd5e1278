'use strict';

const { startServer, nextCall, until } = require('../support/server');
const { openWorker } = require('../support/socket');

const FAULTS = [
  [
    'throws',
    () => {
      throw new Error('on purpose');
    },
  ],
  [
    'is async and rejects',
    async () => {
      throw new Error('on purpose');
    },
  ],
  [
    'rejects later',
    () =>
      new Promise((_, reject) => {
        setImmediate(() => reject(new Error('on purpose')));
      }),
  ],
];

describe.each(FAULTS)('I6: a handler that %s is logged, and the others run:', (_, fault) => {
  test('connected', async () => {
    const { server, port, log } = await startServer();
    const seen = [];
    server.onWorkerConnected(() => seen.push('before'));
    server.onWorkerConnected(fault);
    server.onWorkerConnected(() => seen.push('after'));
    expect((await openWorker(port, 'w')).ack.success).toBe(true);
    expect(await log.line('Error in connected handler')).toEqual({
      level: 'error',
      message: 'Error in connected handler',
      context: { error: 'on purpose' },
    });
    expect([seen, server.getWorkerCount()]).toEqual([['before', 'after'], 1]);
  });

  test('disconnected', async () => {
    const { server, port, log } = await startServer();
    const seen = [];
    server.onWorkerDisconnected(() => seen.push('before'));
    server.onWorkerDisconnected(fault);
    server.onWorkerDisconnected(() => seen.push('after'));
    (await openWorker(port, 'w')).ws.close();
    expect((await log.line('Error in disconnected handler')).context).toEqual({ error: 'on purpose' });
    expect([seen, server.getWorkerCount()]).toEqual([['before', 'after'], 0]);
  });

  test('message', async () => {
    const { server, port, log } = await startServer();
    const seen = [];
    server.onWorkerMessage('note', (worker, { n }) => seen.push(n));
    server.onWorkerMessage('note', fault);
    const end = nextCall((resolve) => server.onWorkerMessage('end', resolve));
    const worker = await openWorker(port, 'w');
    for (let n = 0; n < 100; n += 1) worker.send({ type: 'note', n });
    worker.send({ type: 'end' });
    await end;
    await until(() => log.all('Error in message handler').length === 100);
    expect(seen).toEqual(Array.from({ length: 100 }, (__, n) => n));
    expect(log.all('Error in message handler')[0].context).toEqual({ error: 'on purpose', type: 'note' });
  });
});

test.each([
  ['a string', 'just text'],
  ['undefined', undefined],
  ['null', null],
  ['an object', { odd: true }],
])('I6: %s that is thrown does no harm', async (_, thrown) => {
  const { server, port, log } = await startServer();
  server.onWorkerMessage('note', () => {
    throw thrown;
  });
  const end = nextCall((resolve) => server.onWorkerMessage('end', resolve));
  const worker = await openWorker(port, 'w');
  worker.send({ type: 'note' });
  worker.send({ type: 'end' });
  await end;
  expect((await log.line('Error in message handler')).context.type).toBe('note');
});

test('I6: a stop within a handler ends the delivery and does no harm', async () => {
  const { server, port, log } = await startServer();
  const seen = [];
  let stopped;
  server.onWorkerMessage('note', (worker, { n }) => {
    seen.push(n);
    if (n === 3) stopped = server.stop();
  });
  const worker = await openWorker(port, 'w');
  for (let n = 0; n < 100; n += 1) worker.send({ type: 'note', n });
  expect((await worker.closed).code).toBe(1001);
  await stopped;
  expect(seen.slice(0, 4)).toEqual([0, 1, 2, 3]);
  expect(server.getWorkerCount()).toBe(0);
  expect(log.lines.filter((line) => line.level === 'error')).toEqual([]);
});

const TEXTS = [
  ['null'],
  ['5'],
  ['"text"'],
  ['[]'],
  ['{}'],
  ['{"type":5}'],
  ['{"type":null}'],
  ['{'],
  [''],
  ['\u0000'],
  ['{"type":"worker_registration"}'],
  ['{"type":"worker_registration","workerId":5}'],
  ['{"type":"worker_registration","workerId":"x","capabilities":null}'],
  ['{"type":"worker_registration","workerId":"x","capabilities":{"models":[null],"maxConcurrentRequests":1}}'],
  ['{"type":"worker_registration","workerId":"x","capabilities":{"models":[],"maxConcurrentRequests":-1}}'],
  ['{"type":"worker_registration","workerId":"x","capabilities":{"models":[],"maxConcurrentRequests":1e999}}'],
  ['{"type":"heartbeat"}'],
  ['{"type":"heartbeat","workerId":{}}'],
  ['{"type":"heartbeat","workerId":null,"timestamp":1}'],
  [`${'['.repeat(100000)}`],
  [`{"type":"deep","a":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  ['{"type":"__proto__","__proto__":{"type":"x"}}'],
  ['{"type":"constructor"}'],
];

test.each(TEXTS.map(([text]) => [text.slice(0, 60), text]))('I6: %j as a message does no harm', async (_, text) => {
  const { server, port } = await startServer();
  const bad = await openWorker(port, 'bad');
  const good = await openWorker(port, 'good');
  bad.ws.send(text);
  bad.ws.close();
  await bad.closed;
  good.send({ type: 'heartbeat', workerId: 'good', timestamp: 't' });
  expect((await good.nextJson()).type).toBe('heartbeat_ack');
  await until(() => server.getWorkerCount() === 1);
  expect(server.getWorkerInfo()[0].id).toBe('good');
});
