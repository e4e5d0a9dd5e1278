'use strict';

// Workers over TLS: messages of all sizes, order, back-pressure, limits, ends, and both workers of the package.

const { spawn } = require('node:child_process');
const net = require('node:net');
const { once } = require('node:events');
const { Worker: Thread } = require('node:worker_threads');
const { certificate, certificates } = require('../support/certificates');
const { onCleanup } = require('../support/cleanup');
const { WORKER_ENV, pythonWith, pythonWithWorker } = require('../support/python');
const {
  RawConnection,
  RawWebSocket,
  closePayload,
  frame,
  json,
  registration,
  upgradeHead,
  CLOSE,
  TEXT,
} = require('../support/raw');
const { nextCall, startServer, until } = require('../support/server');
const { shakeHands } = require('../support/tls-client');
const { connectOver } = require('../support/tls-worker');
const { Worker } = require('../../lib/worker');

let made;
beforeAll(() => {
  made = certificates();
});

const start = (options = {}) => startServer({ tls: { cert: made.server.cert, key: made.server.key }, ...options });
const connect = (port, id, options = {}) => connectOver(port, id, { ca: made.ca.cert, ...options });
const frameOf = (raw) => RawWebSocket.prototype.frame.call(raw);

/** A worker whose bytes the test writes itself. */
async function rawWorker(port, id, options = {}) {
  const raw = new RawConnection(await shakeHands(port, { ca: made.ca.cert, ...options }));
  raw.write(upgradeHead());
  const head = await raw.text(/\r\n\r\n$/);
  raw.received = raw.received.subarray(head.length);
  raw.write(json(registration(id)));
  await frameOf(raw);
  return raw;
}

test.each(['TLSv1.2', 'TLSv1.3'])('messages of all sizes arrive whole both ways over %s', async (maxVersion) => {
  const { server, port } = await start();
  server.onWorkerMessage('echo', (worker, message) => server.send(worker.id, message));
  const worker = await connect(port, 'w', { maxVersion });
  for (const size of [0, 1, 100, 4_095, 16_300, 16_384, 16_385, 65_535, 65_536, 100_000, 3_000_000, 20_000_000]) {
    const text = 'x'.repeat(size);
    worker.send({ type: 'echo', text });
    const echo = await worker.next();
    expect(echo.text.length).toBe(size);
    expect(echo.text === text).toBe(true);
  }
});

test('messages keep their order, however they are cut into records', async () => {
  const { server, port } = await start();
  const numbers = [];
  server.onWorkerMessage('n', (worker, { n }) => numbers.push(n));
  const worker = await connect(port, 'w');
  for (let n = 0; n < 5_000; n += 1) worker.send({ type: 'n', n, filling: 'x'.repeat((n * 37) % 3_000) });
  for (let n = 0; n < 5_000; n += 1) server.send('w', { n, filling: 'y'.repeat((n * 53) % 3_000) });
  for (let n = 0; n < 5_000; n += 1) expect((await worker.next()).n).toBe(n);
  await until(() => numbers.length === 5_000);
  expect(numbers).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
});

test.each([1, 8, 40])('questions and answers of %p workers at once come one for one and in order', async (count) => {
  const { server, port } = await start();
  server.onWorkerMessage('ask', (worker, { n }) => server.send(worker.id, { type: 'answer', id: worker.id, n }));
  const workers = await Promise.all(Array.from({ length: count }, (_, i) => connect(port, `w${i}`)));
  const converse = async (worker, i) => {
    for (let n = 0; n < 300; n += 1) {
      worker.send({ type: 'ask', n });
      expect(await worker.next()).toEqual({ type: 'answer', id: `w${i}`, n });
    }
  };
  await Promise.all(workers.map(converse));
});

test('I4: a heartbeat is answered while the handler of a conversation blocks', async () => {
  const { server, port } = await start();
  const worker = await connect(port, 'w');
  const signal = new Int32Array(new SharedArrayBuffer(4));
  // In a thread of its own, since the handler blocks this one until it has the answer.
  const beating = new Thread(
    `const { parentPort, workerData: { port, ca, signal, path } } = require('node:worker_threads');
    const { connectOver } = require(path);
    connectOver(port, 'beating', { ca }).then(async (worker) => {
      parentPort.postMessage('ready');
      while (Atomics.load(signal, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
      worker.send({ type: 'heartbeat', workerId: 'beating', timestamp: 'now' });
      await worker.next();
      Atomics.store(signal, 0, 2);
      Atomics.notify(signal, 0);
      worker.ws.terminate();
    });`,
    { eval: true, workerData: { port, ca: made.ca.cert, signal, path: require.resolve('../support/tls-worker') } },
  );
  onCleanup(() => beating.terminate());
  await once(beating, 'message');
  let rounds = 0;
  let waited;
  server.onWorkerMessage('ask', ({ id }) => {
    rounds += 1;
    if (rounds === 200) {
      Atomics.store(signal, 0, 1);
      waited = Atomics.wait(signal, 0, 1, 10_000);
    }
    server.send(id, { type: 'answer' });
  });
  while (rounds < 200) {
    worker.send({ type: 'ask' });
    await worker.next();
  }
  expect(waited).not.toBe('timed-out');
});

test('what comes with the handshake, and with the upgrade, is read', async () => {
  const { server, port } = await start();
  const connected = nextCall((handler) => server.onWorkerConnected(handler));
  const below = net.connect({ port, host: '127.0.0.1' });
  await once(below, 'connect');
  const raw = new RawConnection(await shakeHands(port, { ca: made.ca.cert, socket: below }));
  below.cork();
  raw.write(Buffer.concat([Buffer.from(upgradeHead()), json(registration('early'))]));
  below.uncork();
  const [worker] = await connected;
  expect(worker.id).toBe('early');
});

test('a worker that does not read fills its outbox, send returns false, and goes on when it reads', async () => {
  const { server, port, log } = await start({ limits: { maxQueuedBytes: 1_000_000 } });
  const raw = await rawWorker(port, 'w');
  raw.socket.pause();
  const text = 'x'.repeat(50_000);
  let accepted = 0;
  while (server.send('w', { type: 'data', text })) {
    accepted += 1;
    await new Promise(setImmediate);
  }
  expect(accepted).toBeGreaterThan(15);
  await log.line('Too much is waiting to be sent to worker');
  raw.socket.resume();
  for (let i = 0; i < accepted; i += 1) expect(JSON.parse((await frameOf(raw)).text).text).toBe(text);
  await until(() => server.send('w', { type: 'again' }));
  expect(JSON.parse((await frameOf(raw)).text)).toEqual({ type: 'again' });
});

test('a worker that reads nothing is closed as a slow consumer, with a whole frame and then the close frame', async () => {
  const { server, port, log } = await start({ limits: { maxQueuedBytes: 4_000_000, stallTimeoutMs: 300 } });
  const gone = nextCall((handler) => server.onWorkerDisconnected(handler));
  const raw = await rawWorker(port, 'w');
  raw.socket.pause();
  server.trackRequest('w', 'r1');
  for (let i = 0; server.send('w', { type: 'data', i, text: 'x'.repeat(50_000) }); i += 1)
    await new Promise(setImmediate);
  const [worker, pending] = await gone;
  expect([worker.id, [...pending]]).toEqual(['w', ['r1']]);
  expect(log.all('Slow consumer, closing')).toHaveLength(1);
  raw.socket.resume();
  let last = -1;
  for (;;) {
    const next = await frameOf(raw);
    if (next.opcode === CLOSE) {
      expect([next.code, next.reason]).toEqual([4008, 'Slow consumer']);
      break;
    }
    const { i } = JSON.parse(next.text);
    expect(i).toBe(last + 1);
    last = i;
  }
});

test('while the application is busy a worker is not read, and nothing of it is lost', async () => {
  const { server, port } = await start({ limits: { maxUnhandledBytes: 100_000 } });
  const numbers = [];
  server.onWorkerMessage('n', (worker, { n }) => numbers.push(n));
  const worker = await connect(port, 'w');
  const text = 'x'.repeat(10_000);
  for (let n = 0; n < 300; n += 1) worker.send({ type: 'n', n, text });
  await new Promise(setImmediate);
  const end = Date.now() + 300;
  // Nothing else runs here meanwhile.
  while (Date.now() < end);
  await until(() => numbers.length === 300);
  expect(numbers).toEqual(Array.from({ length: 300 }, (_, n) => n));
});

describe('the end of a connection', () => {
  test('by a close frame of the worker has its code, and is answered', async () => {
    const { server, port, log } = await start();
    const raw = await rawWorker(port, 'w');
    raw.write(frame(CLOSE, closePayload(3_000, 'bye')));
    const answer = await frameOf(raw);
    expect([answer.opcode, answer.code]).toEqual([CLOSE, 3_000]);
    await raw.end();
    const { context } = await log.line('Worker disconnected');
    expect(context).toEqual({ workerId: 'w', code: 3_000, reason: 'bye' });
    expect(server.getWorkerCount()).toBe(0);
  });

  test('without a close frame is 1006: by a goodbye of TLS, by an end of TCP, by a reset, by garbage', async () => {
    const { port, log } = await start();
    const ends = [
      (raw) => raw.socket.end(),
      (raw, below) => below.end(),
      (raw, below) => below.resetAndDestroy(),
      (raw, below) => below.write(Buffer.from('no record at all')),
    ];
    for (const [i, end] of ends.entries()) {
      const below = net.connect({ port, host: '127.0.0.1' });
      await once(below, 'connect');
      const raw = await rawWorker(port, `w${i}`, { socket: below });
      end(raw, below);
      const { context } = await log.line('Worker disconnected', ({ workerId }) => workerId === `w${i}`);
      expect(context).toEqual({ workerId: `w${i}`, code: 1006, reason: '' });
    }
  });

  test('at the stop is 1001, and the goodbye of TLS comes behind it', async () => {
    const { server, port } = await start();
    const worker = await connect(port, 'w');
    const socket = worker.ws._socket;
    const ended = once(socket, 'end');
    await server.stop();
    expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
    await ended;
  });

  test('after a violation is told', async () => {
    const { port } = await start();
    const raw = await rawWorker(port, 'w');
    raw.write(frame(TEXT, Buffer.from('ff', 'hex')));
    const close = await frameOf(raw);
    expect([close.opcode, close.code]).toEqual([CLOSE, 1007]);
    await raw.end();
  });
});

test('getConnectionInfo tells that a worker is encrypted, also of one that came on a connection of requests', async () => {
  const { server, port } = await start();
  server.addHttpHandler((req, res) => {
    res.end('fine');
    return true;
  });
  await connect(port, 'direct');
  const raw = new RawConnection(await shakeHands(port, { ca: made.ca.cert }));
  raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  const answer = await raw.text(/fine$/);
  raw.received = raw.received.subarray(answer.length);
  raw.write(upgradeHead());
  const head = await raw.text(/101 [^]*\r\n\r\n$/);
  raw.received = raw.received.subarray(head.length);
  raw.write(json(registration('behind')));
  await frameOf(raw);
  for (const id of ['direct', 'behind']) {
    expect(server.getConnectionInfo(id)).toMatchObject({ encrypted: true, remoteAddress: '127.0.0.1' });
  }
  expect(server.getConnectionInfo('behind').remotePort).toBe(raw.socket.localPort);
  raw.socket.destroy();
  await until(() => server.getWorkerCount() === 1);
});

/** A worker of the package, until it is connected or has failed. */
async function startWorker(port, options = {}) {
  const worker = new Worker({
    url: `wss://localhost:${port}`,
    workerId: 'js',
    capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 2 },
    handler: async function* handler({ words }) {
      yield* words;
      return words.length;
    },
    handleSignals: [],
    reconnect: { maxAttempts: 0 },
    ...options,
  });
  const ended = worker.run();
  ended.catch(() => {});
  onCleanup(() => worker.close());
  await Promise.race([once(worker, 'state').then(() => until(() => worker.state === 'connected')), ended]);
  return worker;
}

const ask = async (server) => {
  const chunks = [];
  const stream = server.stream({ words: ['a', 'b', 'c'] }, { model: 'm' });
  for await (const chunk of stream) chunks.push(chunk);
  return [chunks, await stream.result];
};

describe('the worker in JavaScript', () => {
  test('connects by wss with an authority of its own, and streams', async () => {
    const { server, port } = await start({ authToken: 'sesame' });
    await startWorker(port, { tls: { ca: made.ca.cert }, authToken: 'sesame' });
    expect(await ask(server)).toEqual([['a', 'b', 'c'], 3]);
  });

  test('refuses a server that it can not verify', async () => {
    const { server, port } = await start();
    const other = certificate('Another CA', undefined, { isAuthority: true });
    for (const tls of [undefined, { ca: other.cert }]) {
      await expect(startWorker(port, { tls })).rejects.toThrow(/certificate|signature|issuer/);
    }
    await expect(startWorker(port, { tls: { ca: made.ca.cert, servername: 'other.test' } })).rejects.toThrow();
    expect(server.getWorkerCount()).toBe(0);
  });
});

describe('the worker in Python', () => {
  const { python, testWithPython } = pythonWithWorker();
  const PROGRAM = `
import ssl, sys
from hardlydifficult_worker import Worker
context = ssl.create_default_context(cafile=sys.argv[2])
worker = Worker(sys.argv[1], worker_id="py", models=["m"], ssl=context, reconnect_max_attempts=0)
@worker.handler()
async def handle(payload, context):
    for word in payload["words"]:
        yield word
    context.set_result(len(payload["words"]))
worker.run()
`;

  testWithPython(
    'connects by wss with an authority of its own, and refuses a server that it can not verify',
    async () => {
      const { server, port } = await start();
      const run = (ca) => {
        const child = spawn(python, ['-c', PROGRAM, `wss://localhost:${port}`, ca.certFile], {
          env: { ...process.env, ...WORKER_ENV },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        onCleanup(() => child.kill('SIGKILL'));
        let text = '';
        child.stderr.on('data', (chunk) => (text += chunk));
        return { child, said: () => text };
      };
      run(made.ca);
      await until(() => server.getWorkerCount() === 1);
      expect(await ask(server)).toEqual([['a', 'b', 'c'], 3]);
      const refused = run(certificate('Another CA', undefined, { isAuthority: true }));
      const [code] = await once(refused.child, 'close');
      expect([code === 0, refused.said()]).toEqual([
        false,
        expect.stringMatching(/CERTIFICATE_VERIFY_FAILED|certificate verify failed/),
      ]);
    },
  );
});

const SSL_CLIENT = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as s:
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n")
        data = b""
        while True:
            more = s.recv(4096)
            if not more: break
            data += more
        print(s.version(), s.selected_alpn_protocol(), data[:15].decode(), s.unwrap() is not None)
`;

const { python, testWithPython } = pythonWith('ssl');

testWithPython("Python's ssl is served, and reads the end that TLS has", async () => {
  const { server, port } = await start();
  server.addHttpHandler((req, res) => {
    res.end('fine');
    return true;
  });
  const child = spawn(python, ['-c', SSL_CLIENT, String(port), made.ca.certFile]);
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  expect(Buffer.concat(err).toString()).toBe('');
  expect(Buffer.concat(out).toString().trim()).toBe('TLSv1.3 None HTTP/1.1 200 OK True');
});
