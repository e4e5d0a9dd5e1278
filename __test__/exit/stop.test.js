'use strict';

// What is under way when `stop` is called. Each test must end within its time, which a peer that is waited for would prevent.

const { once } = require('events');
const fs = require('fs');
const http = require('http');
const { startServer, until } = require('../support/server');
const { startFleet, startFlood, signalFile } = require('../support/fleet');
const { request, readAll } = require('../support/http');
const { openWorker, openSocket } = require('../support/socket');
const { RawWebSocket, rawConnect } = require('../support/raw');

test('stop ends during a flood, and no message reaches a handler after it', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 200 } });
  let count = 0;
  server.onWorkerMessage('flood', () => {
    count += 1;
  });
  const flood = await startFlood(port, { count: 2 });
  const file = signalFile();
  await flood.ask('flood', { messages: 200000, bytes: 100, file });
  fs.writeFileSync(`${file}.go`, '');
  await until(() => count > 1000);
  await server.stop();
  const atStop = count;
  expect(server.getWorkerCount()).toBe(0);
  // The same handlers count again at the next start, so they weren't just taken off.
  await server.start();
  const worker = await openWorker(server.port, 'w');
  worker.send({ type: 'flood' });
  await until(() => count > atStop);
  expect(count).toBe(atStop + 1);
});

test('stop ends although a worker takes nothing of what waits for it', async () => {
  const { server, port } = await startServer({ limits: { stopGraceMs: 200 } });
  const raw = await RawWebSocket.register(port, 'deaf');
  raw.socket.pause();
  for (let i = 0; i < 40; i += 1) server.send('deaf', { type: 'work', pad: 'x'.repeat(1024 * 1024) });
  await server.stop();
  raw.socket.resume();
  await raw.end();
});

test('what was sent before a stop arrives before the close frame', async () => {
  const { server, port } = await startServer();
  const worker = await openWorker(port, 'w');
  for (let n = 0; n < 1000; n += 1) server.send('w', { n });
  await server.stop();
  expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
  expect(worker.messages.map((text) => JSON.parse(text).n)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
});

test('stop closes 500 workers and 1 that connects meanwhile', async () => {
  const { server, port } = await startServer();
  const fleet = await startFleet(port, { count: 500 });
  const late = openSocket(port).catch((error) => error);
  await server.stop();
  expect(server.getWorkerCount()).toBe(0);
  await late;
  let report;
  do report = await fleet.ask('report');
  while (report.open > 0);
  expect(report.closed).toEqual(Array(500).fill(1001));
});

test('stop lets a request that is being answered end', async () => {
  let finish;
  let asked;
  const ask = new Promise((resolve) => {
    asked = resolve;
  });
  const { server, port } = await startServer({ limits: { stopGraceMs: 10000 } }, (unstarted) =>
    unstarted.addHttpHandler(async (req, res) => {
      res.write('begun, ');
      finish = () => res.end('ended');
      asked();
      return true;
    }),
  );
  const response = request(port);
  await ask;
  const stop = server.stop();
  finish();
  expect((await response).text).toBe('begun, ended');
  await stop;
});

test.each([['keep-alive'], ['close']])(
  'stop lets a response arrive that was ended before it and not yet taken (Connection: %s)',
  async (connection) => {
    const body = Buffer.alloc(32 * 1024 * 1024, 'x');
    let ended;
    const end = new Promise((resolve) => {
      ended = resolve;
    });
    const { server, port } = await startServer({ limits: { stopGraceMs: 15000 } }, (unstarted) =>
      unstarted.addHttpHandler(async (req, res) => {
        res.end(body);
        ended();
        return true;
      }),
    );
    const req = http.get({ port, host: '127.0.0.1', agent: false, headers: { connection } });
    const [response] = await once(req, 'response');
    await end;
    const stop = server.stop();
    // Only now does the client take it.
    expect((await readAll(response)).equals(body)).toBe(true);
    await stop;
  },
);

test('stop closes a connection that is kept alive as soon as its response has ended', async () => {
  let finish;
  const { server, port } = await startServer({ limits: { stopGraceMs: 60000 } }, (unstarted) =>
    unstarted.addHttpHandler(async (req, res) => {
      // Or Node would close it after five seconds of its own accord.
      req.socket.setTimeout = () => req.socket;
      if (req.url === '/first') res.end('first');
      else finish = () => res.end('second');
      return true;
    }),
  );
  const [idle, busy] = await Promise.all([rawConnect(port), rawConnect(port)]);
  for (const raw of [idle, busy]) {
    raw.write('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
    await raw.text(/first$/);
  }
  busy.write('GET /second HTTP/1.1\r\nHost: h\r\n\r\n');
  await until(() => finish !== undefined);
  const stop = server.stop();
  await idle.end();
  finish();
  expect(await busy.end()).toMatch(/second$/);
  await stop;
});

test('stop cuts a request that is never answered, one whose body never ends, and connections without a request', async () => {
  let asked = 0;
  const { server, port } = await startServer({ limits: { stopGraceMs: 100 } }, (unstarted) =>
    unstarted.addHttpHandler(async (req) => {
      req.on('error', () => {});
      req.resume();
      asked += 1;
      return true;
    }),
  );
  const raws = await Promise.all([0, 1, 2, 3].map(() => rawConnect(port)));
  raws[0].write('GET /never HTTP/1.1\r\nHost: h\r\n\r\n');
  raws[1].write('POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome');
  raws[2].write('GET / HTTP/1.1\r\nHo');
  await until(() => asked === 2);
  await server.stop();
  for (const raw of raws) await raw.end();
});

test('after a stop the port refuses connections and can be bound again', async () => {
  const { server, port } = await startServer();
  await openWorker(port, 'w');
  await server.stop();
  await expect(openSocket(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  const next = await startServer({ port });
  expect(next.port).toBe(port);
});
