'use strict';

// Messages to workers.

const { startServer } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');

const cyclic = () => {
  const object = {};
  object.self = object;
  return object;
};

test('send returns true and the worker gets one text frame with the JSON', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const frames = [];
  worker.ws.on('message', (data, isBinary) => frames.push([String(data), isBinary]));
  expect(server.send('w1', { type: 'x', b: 1, a: ['ü', null, undefined], date: new Date(0), u: undefined })).toBe(true);
  await worker.next('x');
  expect(frames).toEqual([['{"type":"x","b":1,"a":["ü",null,null],"date":"1970-01-01T00:00:00.000Z"}', false]]);
});

test.each([
  ['lone surrogates', { type: 'x', s: '\ud800' }],
  ['astral characters', { type: 'x', s: '😀' }],
  ['control characters', { type: 'x', s: '\u0000\u001f\u2028' }],
  ['toJSON', { toJSON: () => ({ type: 'x', made: true }) }],
  ['an own __proto__', JSON.parse('{"type":"x","__proto__":1}')],
])('%s arrive as JSON.stringify writes them', async (_, message) => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  expect(server.send('w1', message)).toBe(true);
  await worker.next('x');
  expect(worker.frames.at(-1)).toBe(JSON.stringify(message));
});

test.each([
  ['a list', [1, 2]],
  ['a text', 'text'],
  ['null', null],
  ['a number', 5],
])('%s may be sent', async (_, message) => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const texts = [];
  worker.ws.removeAllListeners('message');
  const arrived = new Promise((resolve) => {
    worker.ws.on('message', (data) => {
      texts.push(String(data));
      resolve();
    });
  });
  expect(server.send('w1', message)).toBe(true);
  await arrived;
  expect(texts).toEqual([JSON.stringify(message)]);
});

test('a message of 5 MB arrives whole', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const data = 'ä😀x'.repeat(700_000);
  expect(server.send('w1', { type: 'x', data })).toBe(true);
  expect((await worker.next('x')).data === data).toBe(true);
});

test.each([
  ['ASCII', 'plain '],
  ['quotes, backslashes and control characters', 'a"b\\\b\f\n\r\t\u0000\u001f\u007f '],
  ['Latin-1', 'é\u0080ÿ" '],
  ['astral characters', 'x😀\u2028漢\\ '],
  ['lone surrogates', 'a\ud83d\ud83d\ude00\ude00"\n'],
  ['replacement characters', 'a\ufffd\n'],
])('long strings of %s arrive as JSON.stringify writes them', async (_, characters) => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const long = characters.repeat(10_000);
  const message = { type: 'x', 'ключ"': ['ü\ud800', long, { long: `${long}end` }, '\u0001'], after: 1 };
  // The first is written whole, those after it in pieces.
  for (let count = 0; count < 3; count += 1) expect(server.send('w1', message)).toBe(true);
  server.broadcast(message);
  for (let count = 0; count < 4; count += 1) await worker.next('x');
  const text = JSON.stringify(message);
  expect(worker.frames.slice(-4).map((frame) => frame === text)).toEqual([true, true, true, true]);
});

test('long and short messages of one tick arrive in order', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  for (const round of [0, 100]) {
    for (let n = round; n < round + 100; n += 1)
      server.send('w1', { type: 'n', n, filler: 'x'.repeat(n % 7 === 3 ? 20_000 : 10) });
    for (let n = round; n < round + 100; n += 1) expect((await worker.next('n')).n).toBe(n);
  }
});

test.each([
  ['an unknown id', (server) => server.send('nobody', { type: 'x' })],
  ['the id of the unknown worker', (server) => server.send('unknown', { type: 'x' })],
  ['a message with a cycle', (server) => server.send('w1', cyclic())],
  ['a BigInt', (server) => server.send('w1', { n: 1n })],
  [
    'a toJSON that throws',
    (server) =>
      server.send('w1', {
        toJSON() {
          throw new Error('no');
        },
      }),
  ],
])('send returns false for %s', async (_, send) => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  await connect(server);
  expect(send(server)).toBe(false);
  expect(server.send('w1', { type: 'after' })).toBe(true);
  await worker.next('after');
  expect(worker.frames).toHaveLength(2);
});

test('send returns false before start and after stop', async () => {
  const { server } = await startServer();
  await connectWorker(server);
  await server.stop();
  expect(server.send('w1', { type: 'x' })).toBe(false);
});

test('send returns false once the worker has left', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server);
  await worker.close();
  await log.line('Worker disconnected');
  expect(server.send('w1', { type: 'x' })).toBe(false);
});

test('broadcast reaches every registered worker, and only those', async () => {
  const { server } = await startServer();
  const workers = [];
  for (const id of ['a', 'b', 'c']) workers.push(await connectWorker(server, id));
  const stranger = await connect(server);
  expect(server.broadcast({ type: 'all', n: 1 })).toBeUndefined();
  for (const worker of workers) expect(await worker.next('all')).toEqual({ type: 'all', n: 1 });
  await stranger.sync();
  expect(stranger.frames).toEqual([]);
});

test('broadcast reaches busy workers', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  for (const id of ['r1', 'r2']) server.trackRequest('w1', id);
  server.broadcast({ type: 'all' });
  await worker.next('all');
});

test.each([
  ['a cycle', cyclic()],
  ['a BigInt', { n: 1n }],
])('broadcast throws for %s, as JSON.stringify does, and nothing is sent', async (_, message) => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  expect(() => server.broadcast(message)).toThrow(TypeError);
  server.broadcast({ type: 'after' });
  await worker.next('after');
  expect(worker.frames).toHaveLength(2);
});

test('broadcast throws what toJSON throws', async () => {
  const { server } = await startServer();
  await connectWorker(server);
  const own = new Error('own');
  const message = {
    toJSON() {
      throw own;
    },
  };
  expect(() => server.broadcast(message)).toThrow(own);
});

test('broadcast without workers, or without a running server, does nothing', async () => {
  const { server } = await startServer();
  server.broadcast({ type: 'x' });
  await server.stop();
  server.broadcast({ type: 'x' });
});

test('10,000 messages to a worker arrive in order', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  for (let n = 0; n < 10_000; n += 1) {
    expect(server.send('w1', { type: 'n', n, filler: 'x'.repeat(n % 300) })).toBe(true);
  }
  server.send('w1', { type: 'end' });
  await worker.next('end');
  const numbers = worker.unread.map(({ n }) => n);
  expect(numbers).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
});

test('10,000 messages from a worker arrive in order', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const numbers = [];
  server.onWorkerMessage('n', (_, { n }) => numbers.push(n));
  for (let n = 0; n < 10_000; n += 1) worker.send({ type: 'n', n, filler: 'x'.repeat(n % 300) });
  await worker.sync();
  expect(numbers).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
});

test('messages that are echoed come back in order, from several workers at once', async () => {
  const { server } = await startServer();
  server.onWorkerMessage('ping', (worker, { n }) => server.send(worker.id, { type: 'pong', n }));
  const workers = await Promise.all(['a', 'b', 'c', 'd'].map((id) => connectWorker(server, id)));
  for (let n = 0; n < 500; n += 1) for (const worker of workers) worker.send({ type: 'ping', n });
  for (const worker of workers) {
    for (let n = 0; n < 500; n += 1) expect((await worker.next('pong')).n).toBe(n);
  }
});

test('sends and broadcasts of one tick leave in the order of the calls', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  for (let n = 0; n < 100; n += 2) {
    server.send('w1', { type: 'n', n });
    server.broadcast({ type: 'n', n: n + 1 });
  }
  for (let n = 0; n < 100; n += 1) expect((await worker.next('n')).n).toBe(n);
});

test('what is sent before stop still arrives before the close', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  for (let n = 0; n < 100; n += 1) server.send('w1', { type: 'n', n });
  await server.stop();
  expect((await worker.closed).code).toBe(1001);
  expect(worker.unread.map(({ n }) => n)).toEqual(Array.from({ length: 100 }, (_, n) => n));
});
