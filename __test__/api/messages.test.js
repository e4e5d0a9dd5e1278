'use strict';

// Messages for the application: exactly what JSON.parse makes of the text.

const { INFO_KEYS, UNKNOWN_INFO } = require('../support/infos.js');
const { nextCall, startServer } = require('../support/server.js');
const { connect, connectWorker } = require('../support/worker.js');

/** Sends a text and returns what the handler of type `x` got. */
async function delivered(text, options) {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const call = nextCall((handler) => server.onWorkerMessage('x', handler));
  worker.ws.send(text, options);
  return (await call)[1];
}

test.each([
  ['numbers', '{"type":"x","n":[0,-0,1e21,0.1,1e-400,123456789012345678901234567890,5e-324,1.7976931348623157e308]}'],
  ['a number beyond all bounds', '{"type":"x","n":1e400,"m":-1e400}'],
  ['duplicate keys', '{"type":"x","a":1,"b":2,"a":3}'],
  ['a duplicate type, the last of which counts', '{"type":"y","a":1,"type":"x"}'],
  ['an escaped key', '{"\\u0074ype":"x","a":1}'],
  ['an escaped value of type', '{"type":"\\u0078"}'],
  ['key order with numeric keys', '{"b":1,"2":2,"type":"x","1":3,"a":4}'],
  ['lone surrogates', '{"type":"x","s":"\\ud800","t":"\\udc00\\ud800","\\ud83d":1}'],
  ['surrogate pairs and astral characters', '{"type":"x","s":"\\ud83d\\ude00 😀"}'],
  ['escapes', '{"type":"x","s":"\\u0000\\b\\f\\n\\r\\t\\"\\\\\\/\\u2028"}'],
  ['characters that JavaScript once did not allow in texts', '{"type":"x","s":"\u2028\u2029\u007f"}'],
  ['white space around and within', ' \t\r\n{ "type" :\n"x" , "a" : [ ] } \n'],
  ['empty things', '{"type":"x","a":{},"b":[],"c":"","":null}'],
  ['literals', '{"type":"x","a":[true,false,null]}'],
])('%s are as V8 reads them', async (_, text) => {
  const message = await delivered(text);
  const expected = JSON.parse(text);
  expect(message).toEqual(expected);
  expect(Object.keys(message)).toEqual(Object.keys(expected));
  // Distinguishes -0 from 0, which toEqual does as well, and lone surrogates from replacement characters.
  expect(JSON.stringify(message)).toBe(JSON.stringify(expected));
});

test('__proto__ is an own key and touches no prototype', async () => {
  const message = await delivered('{"type":"x","__proto__":{"polluted":true},"constructor":1}');
  expect(Object.keys(message)).toEqual(['type', '__proto__', 'constructor']);
  expect(Object.getPrototypeOf(message)).toBe(Object.getPrototypeOf(JSON.parse('{}')));
  expect(message.polluted).toBeUndefined();
});

test('deep nesting arrives', async () => {
  const depth = 5_000;
  const message = await delivered(`{"type":"x","a":${'['.repeat(depth)}${']'.repeat(depth)}}`);
  let at = message.a;
  let levels = 0;
  while (Array.isArray(at)) {
    levels += 1;
    [at] = at;
  }
  expect(levels).toBe(depth);
});

test('a message of 5 MB arrives whole', async () => {
  const data = 'ä😀x'.repeat(700_000);
  const message = await delivered(JSON.stringify({ type: 'x', data }));
  expect(message.data.length).toBe(data.length);
  expect(message.data === data).toBe(true);
});

test('a binary frame that holds JSON text is accepted', async () => {
  const message = await delivered(Buffer.from('{"type":"x","s":"ü"}'), { binary: true });
  expect(message).toEqual({ type: 'x', s: 'ü' });
});

test.each(['', 'any type', 'toString', '__proto__', 'constructor', 'ü'])(
  'the type %p is a type like any other',
  async (type) => {
    const { server } = await startServer();
    const worker = await connectWorker(server);
    const call = nextCall((handler) => server.onWorkerMessage(type, handler));
    worker.sendText(JSON.stringify({ type, a: 1 }));
    expect((await call)[1]).toEqual({ type, a: 1 });
  },
);

test.each([
  ['no JSON', 'hello', 'Invalid JSON message from worker'],
  ['empty', '', 'Invalid JSON message from worker'],
  ['cut short', '{"type":"x"', 'Invalid JSON message from worker'],
  ['followed by more', '{"type":"x"} {}', 'Invalid JSON message from worker'],
  ['with a trailing comma', '{"type":"x",}', 'Invalid JSON message from worker'],
  ['with single quotes', "{'type':'x'}", 'Invalid JSON message from worker'],
  ['with a leading zero', '{"type":"x","a":01}', 'Invalid JSON message from worker'],
  ['with NaN', '{"type":"x","a":NaN}', 'Invalid JSON message from worker'],
  ['with a raw line break in a text', '{"type":"x","a":"\n"}', 'Invalid JSON message from worker'],
  ['with a bad escape', '{"type":"x","a":"\\x"}', 'Invalid JSON message from worker'],
  ['with other white space', '\u00a0{"type":"x"}', 'Invalid JSON message from worker'],
  ['null', 'null', 'Message missing type field'],
  ['a number', '5', 'Message missing type field'],
  ['a text', '"type"', 'Message missing type field'],
  ['true', 'true', 'Message missing type field'],
  ['a list', '[]', 'Message missing type field'],
  ['a list that holds a message', '[{"type":"x"}]', 'Message missing type field'],
  ['an empty object', '{}', 'Message missing type field'],
  ['an object whose type is a number', '{"type":5}', 'Message missing type field'],
  ['an object whose type is null', '{"type":null}', 'Message missing type field'],
  ['an object whose last type is no text', '{"type":"x","type":1}', 'Message missing type field'],
  ['an object with its type deeper', '{"a":{"type":"x"}}', 'Message missing type field'],
])('a message that is %s is warned of and the connection stays open', async (_, text, warning) => {
  const { server, log } = await startServer();
  const handler = jest.fn();
  server.onWorkerMessage('x', handler);
  const worker = await connectWorker(server);
  worker.sendText(text);
  await worker.sync();
  expect(handler).not.toHaveBeenCalled();
  expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([{ level: 'warn', message: warning }]);
  await worker.heartbeat();
});

test('a type without handlers is warned of by name and the connection stays open', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server);
  worker.send({ type: 'nobody cares', secret: 1 });
  await worker.sync();
  expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([
    { level: 'warn', message: 'Unhandled message type from worker', context: { type: 'nobody cares' } },
  ]);
});

test('each handler of a message gets the same object', async () => {
  const { server } = await startServer();
  const seen = [];
  server.onWorkerMessage('x', (worker, message) => seen.push([worker, message]));
  server.onWorkerMessage('x', (worker, message) => seen.push([worker, message]));
  const worker = await connectWorker(server);
  worker.send({ type: 'x', a: {} });
  worker.send({ type: 'x', a: {} });
  await worker.sync();
  expect(seen).toHaveLength(4);
  expect(seen[0][1]).toBe(seen[1][1]);
  expect(seen[2][1]).toBe(seen[3][1]);
  expect(seen[0][1]).not.toBe(seen[2][1]);
});

test('a socket that is not registered is the unknown worker', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  const worker = await client.sync();
  expect(worker).toEqual(UNKNOWN_INFO);
  expect(Object.keys(worker)).toEqual(INFO_KEYS);
});

test('what a handler does to the unknown worker is not seen by the next', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  const first = await client.sync();
  first.pendingRequestIds.add('r');
  first.capabilities.models.push({});
  first.connectedAt.setTime(5);
  const second = await client.sync();
  expect(second.pendingRequestIds.size).toBe(0);
  expect(second.capabilities.models).toEqual([]);
  expect(second.connectedAt.getTime()).toBe(0);
});

test('messages sent right behind the registration come from the registered worker', async () => {
  const { server } = await startServer();
  const client = await connect(server);
  const ids = [];
  server.onWorkerMessage('x', (worker, { n }) => ids.push([worker.id, n]));
  client.send({ type: 'x', n: 1 });
  const ack = client.register('w');
  client.send({ type: 'x', n: 2 });
  client.send({ type: 'x', n: 3 });
  await ack;
  await client.sync();
  expect(ids).toEqual([
    ['unknown', 1],
    ['w', 2],
    ['w', 3],
  ]);
});

test('messages sent right before the close arrive before the disconnected event', async () => {
  const { server, log } = await startServer();
  const events = [];
  server.onWorkerMessage('x', (worker, { n }) => events.push(`${worker.id} ${n}`));
  server.onWorkerDisconnected((worker) => events.push(`${worker.id} left`));
  const worker = await connectWorker(server);
  for (let n = 0; n < 50; n += 1) worker.send({ type: 'x', n });
  worker.ws.close();
  await log.line('Worker disconnected');
  await new Promise(setImmediate);
  expect(events).toEqual([...Array.from({ length: 50 }, (_, n) => `w1 ${n}`), 'w1 left']);
});

test('a text that V8 alone finds to be no JSON is logged, and the next one is handled', async () => {
  const { server, log } = await startServer();
  const worker = await connectWorker(server);
  const call = nextCall((handler) => server.onWorkerMessage('x', handler));
  const { parse } = JSON;
  jest.spyOn(JSON, 'parse').mockImplementation((text, ...rest) => {
    if (text.includes('odd')) throw new SyntaxError('odd');
    return parse(text, ...rest);
  });
  try {
    worker.ws.send('{"type":"x","odd":true}');
    worker.ws.send('{"type":"x","even":true}');
    expect((await call)[1]).toEqual({ type: 'x', even: true });
  } finally {
    JSON.parse.mockRestore();
  }
  expect(log.all('Invalid JSON message from worker')).toHaveLength(1);
});
