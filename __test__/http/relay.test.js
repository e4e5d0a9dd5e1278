'use strict';

// Where sockets can't be given to Node as descriptors (Windows), connections are relayed over loopback. The variable has
// the same happen here.

const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { WorkerServer } = require('../../index.js');

let server;

beforeEach(async () => {
  process.env.WORKER_SERVER_RELAY = '1';
  server = new WorkerServer({ port: 0 });
});

afterEach(async () => {
  delete process.env.WORKER_SERVER_RELAY;
  await server.stop();
});

async function request(options, body) {
  const req = http.request({ host: '127.0.0.1', port: server.port, ...options });
  req.end(body);
  const [res] = await once(req, 'response');
  const chunks = await res.toArray();
  return { status: res.statusCode, body: Buffer.concat(chunks), socket: req.socket };
}

test('a relayed request arrives whole, with the address of its real peer', async () => {
  const seen = [];
  server.addHttpHandler(async (req, res) => {
    seen.push([req.socket.remoteAddress, req.socket.remotePort, req.socket.remoteFamily]);
    for await (const chunk of req) res.write(chunk);
    res.end();
    return true;
  });
  await server.start();
  const sent = Buffer.alloc(3 * 1024 * 1024, 'body');
  const { status, body, socket } = await request({ method: 'POST', path: '/echo' }, sent);
  expect(status).toBe(200);
  expect(body.equals(sent)).toBe(true);
  expect(seen).toEqual([['::ffff:127.0.0.1', socket.localPort, 'IPv6']]);
});

test('a relayed endpoint socket talks both ways and is closed with 1001 at the stop', async () => {
  server.addWebSocketEndpoint('/echo', (ws) => ws.on('message', (data) => ws.send(data)));
  await server.start();
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/echo`);
  await once(ws, 'open');
  ws.send('there and back');
  expect(String((await once(ws, 'message'))[0])).toBe('there and back');
  const closed = once(ws, 'close');
  await server.stop();
  expect((await closed)[0]).toBe(1001);
});

test('a relayed client that breaks off is seen to have gone, and not to have said all', async () => {
  let asked;
  const ask = new Promise((resolve) => {
    asked = resolve;
  });
  server.addHttpHandler((req) => {
    asked(req.socket);
    return true;
  });
  await server.start();
  const client = net.connect(server.port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  const socket = await ask;
  const broken = once(socket, 'error');
  client.resetAndDestroy();
  expect((await broken)[0].code).toBe('ECONNRESET');
});

test('a relay that can accept nothing more is logged, and the server goes on', async () => {
  const logger = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
  server = new WorkerServer({ port: 0, logger });
  const listening = jest.spyOn(net, 'createServer');
  await server.start();
  const [{ value: relay }] = listening.mock.results;
  listening.mockRestore();
  for (let i = 0; i < 2; i += 1) relay.emit('error', new Error('accept EMFILE'));
  expect(logger.error.mock.calls).toEqual(Array(2).fill(['HTTP server error', { error: 'accept EMFILE' }]));
  expect((await request({ path: '/' })).status).toBe(404);
});

test('a second start is refused while the first waits for its relay, and the server can be started again', async () => {
  const first = server.start();
  await expect(server.start()).rejects.toThrow(/already running/);
  await first;
  await server.stop();
  await server.start();
  expect((await request({ path: '/' })).status).toBe(404);
});
