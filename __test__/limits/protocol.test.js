'use strict';

const { startServer, nextCall } = require('../support/server');
const { openWorker } = require('../support/socket');
const { RawWebSocket, frame, json, closePayload, TEXT, BINARY, CLOSE, PING, PONG } = require('../support/raw');

const CONTINUATION = 0;
const EURO = Buffer.from('€');

/** A server with a registered raw worker, beside another that must not be touched. */
async function startPair(limits) {
  const { server, port, log } = await startServer({ limits });
  const other = await openWorker(port, 'other');
  const raw = await RawWebSocket.register(port, 'raw');
  const disconnected = nextCall((resolve) => server.onWorkerDisconnected(resolve));
  return { server, log, raw, disconnected, other };
}

/** The server still serves the other worker. */
async function expectOtherServed(other) {
  other.send({ type: 'heartbeat', workerId: 'other', timestamp: 't' });
  expect((await other.nextJson()).type).toBe('heartbeat_ack');
}

describe('a violation of the protocol costs its connection and no other', () => {
  test.each([
    ['a frame that is not masked', 1002, frame(TEXT, '{}', { masked: false })],
    ['a reserved bit', 1002, frame(TEXT, '{}', { rsv: 4 })],
    ['another reserved bit', 1002, frame(TEXT, '{}', { rsv: 1 })],
    ['opcode 3', 1002, frame(3, '{}')],
    ['opcode 11', 1002, frame(11, '')],
    ['a continuation of nothing', 1002, frame(CONTINUATION, 'x')],
    [
      'a new message within a fragmented one',
      1002,
      Buffer.concat([frame(TEXT, '{', { fin: false }), frame(TEXT, '{}')]),
    ],
    ['a fragmented ping', 1002, frame(PING, 'x', { fin: false })],
    ['a ping of more than 125 bytes', 1002, frame(PING, 'x'.repeat(126))],
    ['a close frame of one byte', 1002, frame(CLOSE, 'x')],
    ['a close code that must not be sent', 1002, frame(CLOSE, closePayload(1005))],
    ['a close code that does not exist', 1002, frame(CLOSE, closePayload(999))],
    ['text that is no UTF-8', 1007, frame(TEXT, Buffer.from([0x7b, 0xff, 0x7d]))],
    ['text that ends within a character', 1007, frame(TEXT, EURO.subarray(0, 2))],
    ['a surrogate in UTF-8', 1007, frame(TEXT, Buffer.from([0xed, 0xa0, 0x80]))],
    ['a close reason that is no UTF-8', 1007, frame(CLOSE, Buffer.concat([closePayload(1000), Buffer.from([0xff])]))],
  ])('%s: close %i', async (_, code, bytes) => {
    const { server, raw, disconnected, other } = await startPair();
    raw.write(bytes);
    expect((await raw.close()).code).toBe(code);
    raw.socket.end();
    const [worker] = await disconnected;
    expect([worker.id, server.getWorkerCount()]).toEqual(['raw', 1]);
    await expectOtherServed(other);
  });

  test('a message beyond limits.maxMessageBytes: close 1009', async () => {
    const { raw, disconnected, other } = await startPair({ maxMessageBytes: 1000 });
    raw.write(json({ type: 'big', text: 'x'.repeat(1000) }));
    expect((await raw.close()).code).toBe(1009);
    raw.socket.end();
    expect((await disconnected)[0].id).toBe('raw');
    await expectOtherServed(other);
  });

  test('fragments that together go beyond limits.maxMessageBytes: close 1009', async () => {
    const { raw } = await startPair({ maxMessageBytes: 1000 });
    raw.write(frame(TEXT, 'x'.repeat(600), { fin: false }));
    raw.write(frame(CONTINUATION, 'x'.repeat(600), { fin: false }));
    expect((await raw.close()).code).toBe(1009);
  });

  test('a length beyond limits.maxMessageBytes is refused before the message has come', async () => {
    const { raw } = await startPair({ maxMessageBytes: 1000 });
    raw.write(Buffer.concat([Buffer.from([0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0]), Buffer.alloc(4)]));
    expect((await raw.close()).code).toBe(1009);
  });
});

test('a message of exactly limits.maxMessageBytes is taken', async () => {
  const { server, raw } = await startPair({ maxMessageBytes: 1000 });
  const message = nextCall((resolve) => server.onWorkerMessage('fits', resolve));
  const empty = JSON.stringify({ type: 'fits', text: '' }).length;
  raw.write(json({ type: 'fits', text: 'x'.repeat(1000 - empty) }));
  expect((await message)[1].text).toHaveLength(1000 - empty);
});

test('a message of 20 MB is within the default', async () => {
  const { server, port } = await startServer();
  const message = nextCall((resolve) => server.onWorkerMessage('big', resolve));
  const worker = await openWorker(port, 'w');
  worker.send({ type: 'big', text: 'x'.repeat(20e6) });
  expect((await message)[1].text).toHaveLength(20e6);
});

test('a fragmented message is put together, with control frames in between answered', async () => {
  const { server, raw } = await startPair();
  const message = nextCall((resolve) => server.onWorkerMessage('parts', resolve));
  const text = Buffer.from(JSON.stringify({ type: 'parts', price: '5 €' }));
  // Within the euro sign: only the whole must be UTF-8, not each frame.
  const cut = text.indexOf(EURO) + 1;
  raw.write(frame(TEXT, text.subarray(0, 3), { fin: false }));
  raw.write(frame(CONTINUATION, text.subarray(3, cut), { fin: false }));
  raw.write(frame(PING, 'between'));
  expect(await raw.frame()).toMatchObject({ opcode: PONG, text: 'between' });
  raw.write(frame(CONTINUATION, '', { fin: false }));
  raw.write(frame(CONTINUATION, text.subarray(cut)));
  expect((await message)[1]).toEqual({ type: 'parts', price: '5 €' });
});

test('a binary frame that holds JSON text is a message', async () => {
  const { server, raw } = await startPair();
  const message = nextCall((resolve) => server.onWorkerMessage('binary', resolve));
  raw.write(frame(BINARY, JSON.stringify({ type: 'binary', n: 1 })));
  expect((await message)[1]).toEqual({ type: 'binary', n: 1 });
});

test('a message that comes byte by byte is one message', async () => {
  const { server, raw } = await startPair();
  const message = nextCall((resolve) => server.onWorkerMessage('slow', resolve));
  raw.socket.setNoDelay(true);
  for (const byte of json({ type: 'slow', n: 1 })) {
    raw.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await message)[1]).toEqual({ type: 'slow', n: 1 });
});

test('a ping is answered with its payload, a pong is not answered', async () => {
  const { raw } = await startPair();
  raw.write(Buffer.concat([frame(PONG, 'unasked'), frame(PING, ''), frame(PING, 'x'.repeat(125))]));
  expect(await raw.frame()).toMatchObject({ opcode: PONG, text: '' });
  expect(await raw.frame()).toMatchObject({ opcode: PONG, text: 'x'.repeat(125) });
});

describe('the end of a connection', () => {
  test.each([
    ['with a code and a reason', closePayload(4321, 'my reason'), { code: 4321, reason: 'my reason' }, 4321],
    ['with 1000', closePayload(1000), { code: 1000, reason: '' }, 1000],
    ['without a code', '', { code: 1005, reason: '' }, 1005],
  ])('a close %s is echoed and logged so', async (_, payload, logged, echoed) => {
    const { log, raw, disconnected } = await startPair();
    raw.write(frame(CLOSE, payload));
    expect((await raw.close()).code).toBe(echoed);
    // The server is the one that closes the TCP connection.
    await raw.end();
    await disconnected;
    expect((await log.line('Worker disconnected')).context).toEqual({ workerId: 'raw', ...logged });
  });

  test.each([
    ['ended', 'end'],
    ['reset', 'resetAndDestroy'],
  ])('a connection that is %s without a close frame is logged with 1006', async (_, how) => {
    const { log, raw, disconnected } = await startPair();
    raw.socket[how]();
    await disconnected;
    expect((await log.line('Worker disconnected')).context).toEqual({ workerId: 'raw', code: 1006, reason: '' });
  });

  test('what comes after a close frame is not handled', async () => {
    const { server, raw, disconnected } = await startPair();
    const handler = jest.fn();
    server.onWorkerMessage('late', handler);
    raw.write(
      Buffer.concat([json({ type: 'late', n: 1 }), frame(CLOSE, closePayload(1000)), json({ type: 'late', n: 2 })]),
    );
    await disconnected;
    expect(handler.mock.calls.map(([, message]) => message.n)).toEqual([1]);
  });

  test('an unregistered socket that closes is logged', async () => {
    const { port, log } = await startServer();
    const raw = await RawWebSocket.connect(port);
    raw.write(frame(CLOSE, closePayload(4000, 'never mind')));
    await raw.close();
    expect((await log.line('Unregistered WebSocket connection closed')).context).toEqual({
      code: 4000,
      reason: 'never mind',
    });
  });
});
