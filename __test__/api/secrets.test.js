'use strict';

// No token leaves the process: neither one that the server knows, nor one that a peer tried. Everything that comes out is
// searched: log lines, frames, close reasons, HTTP answers, errors, what handlers and queries are given, the server itself,
// and what the process writes.

const http = require('node:http');
const { EventEmitter } = require('node:events');
const { inspect } = require('node:util');
const { ConnectionHandler, WorkerPool, WorkerServer } = require('../support/package.js');
const { startServer, createServer } = require('../support/server.js');
const { capabilitiesOf, connect, connectWorker, registrationOf } = require('../support/worker.js');

const TIMES = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };
/** In all tokens, right and wrong, so that one search finds each of them. */
const MARK = 'qZ7xS3cr3t';
const RIGHT = `${MARK}-right`;
const OTHER = `${MARK}-other-ünïcödé`;
const LONG = `${MARK}-`.repeat(100_000);

/** All of a value that anybody could print. */
const shown = (value) =>
  [
    inspect(value, { depth: Infinity, showHidden: true, maxStringLength: Infinity, getters: true }),
    JSON.stringify(value),
  ].join();

function expectNoToken(what, text) {
  const at = text.search(/qZ7xS3cr3t/i);
  expect([what, at < 0 ? 'clean' : text.slice(Math.max(0, at - 100), at + 100)]).toEqual([what, 'clean']);
}

/** Registrations as texts: of each id what is sent as its token, or in the place of something else. */
const object = (workerId, fields) => JSON.stringify(registrationOf(workerId, fields));
const REGISTRATIONS = {
  right: object('right', { authToken: RIGHT }),
  'the other': object('other', { authToken: OTHER }),
  'a wrong one': object('wrong', { authToken: `${MARK}-wrong` }),
  'one that is nearly right': object('near', { authToken: RIGHT.slice(0, -1) }),
  'one with a space behind': object('space', { authToken: `${RIGHT} ` }),
  'one in capitals': object('capitals', { authToken: RIGHT.toUpperCase() }),
  'a very long one': object('long', { authToken: LONG }),
  'a list': object('list', { authToken: [RIGHT, OTHER] }),
  'an object': object('object', { authToken: { authToken: RIGHT, [RIGHT]: 1 } }),
  'a lone surrogate': `${object('lone', {}).slice(0, -1)},"authToken":"${RIGHT}\\ud800"}`,
  'two, the wrong one first': `${object('first', { authToken: `${MARK}-first` }).slice(0, -1)},"authToken":"${RIGHT}"}`,
  'two, the wrong one last': `${object('last', { authToken: RIGHT }).slice(0, -1)},"authToken":"${MARK}-last"}`,
  'its name escaped': `${object('escaped', {}).slice(0, -1)},"auth\\u0054oken":"${RIGHT}"}`,
  'one and no id': object(undefined, { authToken: RIGHT }),
  'one within the id': object({ authToken: RIGHT, deep: [{ authToken: OTHER }] }, { authToken: RIGHT }),
  'one within the id, and a wrong one': object({ authToken: RIGHT }, { authToken: `${MARK}-wrong` }),
  'one within the name': object('name', { authToken: RIGHT, workerName: { authToken: RIGHT } }),
  'one for the capabilities': object('capabilities', { authToken: RIGHT, capabilities: RIGHT }),
  'one for the models': object('models', {
    authToken: RIGHT,
    capabilities: { models: RIGHT, maxConcurrentRequests: 1 },
  }),
  'one for a model': object('model', { authToken: RIGHT, capabilities: { models: [RIGHT], maxConcurrentRequests: 1 } }),
  'one for a model id': object('id', {
    authToken: RIGHT,
    capabilities: { models: [{ modelId: [RIGHT] }], maxConcurrentRequests: 1 },
  }),
  'one for the maximum': object('maximum', {
    authToken: RIGHT,
    capabilities: { models: [], maxConcurrentRequests: RIGHT },
  }),
  'one for the limits': object('limits', {
    authToken: RIGHT,
    capabilities: capabilitiesOf([], 1, { concurrencyLimits: RIGHT }),
  }),
};

/** What else may have a token in it. */
const MESSAGES = [
  `{"type":"worker_registration","authToken":"${RIGHT}"`,
  `"${RIGHT}"`,
  JSON.stringify([RIGHT]),
  RIGHT,
  JSON.stringify({ authToken: RIGHT }),
  JSON.stringify({ type: { authToken: RIGHT } }),
  JSON.stringify({ type: [RIGHT] }),
  JSON.stringify({ type: 'unhandled', authToken: RIGHT, nested: { authToken: RIGHT } }),
  JSON.stringify({ type: 'heartbeat', authToken: RIGHT }),
  JSON.stringify({ type: 'heartbeat', workerId: { authToken: RIGHT }, authToken: RIGHT }),
  `{"type":"heartbeat","workerId":[{"authToken":"${RIGHT}","x":"\\ud800"}]}`,
];

/** Collects what a server and its clients show. */
function watch(server, log) {
  const seen = [];
  for (const subscribe of ['onWorkerConnected', 'onWorkerDisconnected'])
    server[subscribe]((...args) => seen.push(shown(args)));
  server.onWorkerMessage('sync', (worker) => seen.push(shown(worker)));
  return () => {
    expectNoToken('the log', shown(log.lines));
    expectNoToken('what handlers are given', seen.join());
    expectNoToken(
      'what queries return',
      shown([server.getWorkerInfo(), server.getAnyAvailableWorker(), server.getAvailableWorker('model-a')]),
    );
    expectNoToken('the server', shown(server));
    return seen.length;
  };
}

/** What the process writes itself while `run` runs. */
async function written(run) {
  const out = [];
  const streams = [process.stdout, process.stderr];
  const methods = ['debug', 'log', 'info', 'warn', 'error', 'trace'];
  const spies = [
    ...streams.map((stream) => jest.spyOn(stream, 'write').mockImplementation((chunk) => out.push(String(chunk)) > 0)),
    ...methods.map((name) => jest.spyOn(console, name).mockImplementation((...args) => out.push(shown(args)))),
  ];
  try {
    await run();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return out.join();
}

describe.each([
  ['one token', RIGHT],
  ['a list of tokens', [OTHER, RIGHT]],
  ['none', undefined],
])('with %s configured', (_, authToken) => {
  test.each(Object.entries(REGISTRATIONS))('a registration with %s leaves no token anywhere', async (__, text) => {
    const { server, log } = await startServer({ authToken });
    const check = watch(server, log);
    const out = await written(async () => {
      const client = await connect(server);
      client.sendText(text);
      const { success } = await client.next('worker_registration_ack');
      if (success) {
        expect(Object.keys(server.getWorkerInfo()[0])).not.toContain('authToken');
        client.sendText(text); // A second session.
        await client.next('worker_registration_ack');
        await client.sync();
        check();
        await client.close();
        await log.line('Worker disconnected');
      } else {
        const { reason } = await client.closed;
        expectNoToken('the close reason', reason);
        await log.line('Unregistered WebSocket connection closed');
      }
      expect(client.frames.length).toBeGreaterThan(0);
      expectNoToken('the frames', client.frames.join());
    });
    check();
    expectNoToken('what the process writes', out);
    expect(log.lines.length).toBeGreaterThan(2);
  });

  test('messages of any kind leave no token anywhere, before and after a registration', async () => {
    const { server, log } = await startServer({ authToken });
    const check = watch(server, log);
    const client = await connect(server);
    for (const text of MESSAGES) client.sendText(text);
    client.send(registrationOf('w', { authToken: RIGHT }));
    expect((await client.next('worker_registration_ack')).success).toBe(true);
    for (const text of MESSAGES) client.sendText(text);
    await client.sync();
    expect(check()).toBeGreaterThan(1);
    expectNoToken('the frames', client.frames.join());
    expect(log.contexts('Heartbeat from unknown worker')).toContainEqual({ workerId: { authToken: '[redacted]' } });
    expect(log.lines.length).toBeGreaterThan(2 * MESSAGES.length);
  });

  test('a ConnectionHandler leaves no token anywhere either', () => {
    const lines = [];
    const record =
      (level) =>
      (...line) =>
        lines.push([level, ...line]);
    const logger = { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') };
    const pool = new WorkerPool(logger);
    const handler = new ConnectionHandler(pool, { ...TIMES, authToken }, logger);
    const given = [];
    handler.onWorkerConnected((...args) => given.push(args));
    handler.onWorkerDisconnected((...args) => given.push(args));
    const sent = [];
    for (const text of [...Object.values(REGISTRATIONS), ...MESSAGES]) {
      const ws = Object.assign(new EventEmitter(), {
        readyState: 1,
        send: (frame) => sent.push(frame),
        close: (...args) => sent.push(args.join()),
      });
      handler.handleConnection(ws);
      ws.emit('message', Buffer.from(text));
    }
    expect(pool.getWorkerInfoList().map(({ id }) => id)).toContain('right');
    expectNoToken('the log', shown(lines));
    expectNoToken('the frames', sent.join());
    expectNoToken('what handlers are given', shown(given));
    expectNoToken('what queries return', shown(pool.getWorkerInfoList()));
    expectNoToken('the handler and the pool', shown([handler, pool]));
  });

  test('the server shows no token at any time of its life, nor do the errors of its start', async () => {
    const { server: first } = await startServer({ authToken });
    const { server } = createServer({ authToken, port: first.port });
    expectNoToken('the server', shown(server));
    const taken = await server.start().catch((error) => error);
    expect(taken.code).toBe('EADDRINUSE');
    const again = await first.start().catch((error) => error);
    expect(again.message).toMatch(/already running/);
    expectNoToken('the errors', shown([taken, taken.stack, again, again.stack]));
    expectNoToken('the server', shown(first));
    await first.stop();
    expectNoToken('the server', shown(first));
  });
});

test('HTTP answers show no token, neither in an upgrade that is refused nor otherwise', async () => {
  const { server, log } = await startServer({ authToken: RIGHT, limits: { maxConnections: 1 } });
  await connectWorker(server, 'w', { authToken: RIGHT });
  const check = watch(server, log);
  const answers = [];
  for (const path of ['/', `/?authToken=${RIGHT}`]) {
    for (const headers of [{}, { Authorization: `Bearer ${RIGHT}` }]) {
      for (const upgrade of [
        {},
        {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        },
      ]) {
        answers.push(
          await new Promise((resolve, reject) => {
            const req = http.get({ port: server.port, path, headers: { ...headers, ...upgrade }, agent: false });
            req.once('error', reject);
            req.once('response', (res) => {
              let body = '';
              res.on('data', (chunk) => (body += chunk));
              res.on('end', () => resolve([res.statusCode, res.rawHeaders, body]));
            });
          }),
        );
      }
    }
  }
  expect(new Set(answers.map(([status]) => status))).toEqual(new Set([404, 503]));
  expectNoToken('the answers', shown(answers));
  check();
});

describe.each([
  ['WorkerServer', (options) => new WorkerServer({ port: 0, ...options })],
  ['ConnectionHandler', (options) => new ConnectionHandler(new WorkerPool(), { ...TIMES, ...options })],
])('the errors of the constructor of %s show no token', (_, make) => {
  test.each([
    ['a number beside it', { authToken: [RIGHT, 5] }],
    ['a list within the list', { authToken: [[RIGHT]] }],
    ['an empty text beside it', { authToken: ['', RIGHT] }],
    ['an object', { authToken: { token: RIGHT } }],
    ['a Buffer', { authToken: Buffer.from(RIGHT) }],
    ['another option that is wrong', { authToken: RIGHT, heartbeatTimeoutMs: -1 }],
  ])('%s', (__, options) => {
    let error;
    try {
      make(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expectNoToken('the error', shown([error, error.stack]));
  });
});

test('a token in the place of all options is not shown', () => {
  for (const make of [() => new WorkerServer(RIGHT), () => new ConnectionHandler(new WorkerPool(), RIGHT)]) {
    let error;
    try {
      make();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/must be an object, got string/);
    expectNoToken('the error', shown([error, error.stack]));
  }
});
