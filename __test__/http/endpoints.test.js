'use strict';

const WebSocket = require('ws');
const { once } = require('events');
const { startServer, createServer, nextCall } = require('../support/server');
const { request, answering } = require('../support/http');
const { openSocket, openWorker } = require('../support/socket');
const { RawWebSocket, frame, json, registration, rawConnect, upgradeHead, TEXT } = require('../support/raw');
const { http } = require('../support/transport');

/** Sends back what it gets, with a word in front. */
function echo(word) {
  return (ws) => ws.on('message', (data, isBinary) => ws.send(isBinary ? data : `${word} ${data}`));
}

test('an endpoint that is added before the start gets its connections', async () => {
  const { port } = await startServer({}, (server) => server.addWebSocketEndpoint('/echo', echo('early')));
  const peer = await openSocket(port, '/echo');
  peer.ws.send('hello');
  expect(await peer.next()).toBe('early hello');
});

test('an endpoint that is added while the server runs gets its connections', async () => {
  const { server, port } = await startServer();
  server.addWebSocketEndpoint('/echo', echo('late'));
  const peer = await openSocket(port, '/echo');
  peer.ws.send('hello');
  expect(await peer.next()).toBe('late hello');
});

test('the same path again replaces the handler, and earlier sockets stay with theirs', async () => {
  const { server, port } = await startServer({}, (unstarted) => unstarted.addWebSocketEndpoint('/echo', echo('old')));
  const before = await openSocket(port, '/echo');
  server.addWebSocketEndpoint('/echo', echo('new'));
  const after = await openSocket(port, '/echo');
  before.ws.send('1');
  after.ws.send('2');
  expect([await before.next(), await after.next()]).toEqual(['old 1', 'new 2']);
});

test('several endpoints live beside each other and beside workers', async () => {
  const { server, port } = await startServer({}, (unstarted) => {
    unstarted.addWebSocketEndpoint('/a', echo('a'));
    unstarted.addWebSocketEndpoint('/b', echo('b'));
  });
  const [a, b, worker] = await Promise.all([openSocket(port, '/a'), openSocket(port, '/b'), openWorker(port, 'w')]);
  a.ws.send('x');
  b.ws.send('x');
  expect([await a.next(), await b.next(), worker.ack.success, server.getWorkerCount()]).toEqual([
    'a x',
    'b x',
    true,
    1,
  ]);
});

test.each([['/ws/dashboard?x=1'], ['/ws/dashboard?'], ['/ws/dashboard']])(
  'the path %s is that of the endpoint /ws/dashboard',
  async (path) => {
    const { port } = await startServer({}, (server) => server.addWebSocketEndpoint('/ws/dashboard', echo('yes')));
    const peer = await openSocket(port, path);
    peer.ws.send('x');
    expect(await peer.next()).toBe('yes x');
  },
);

test.each([['/ws/dashboard/'], ['/ws'], ['/ws/dashboards'], ['/'], ['/?/ws/dashboard'], ['/http://host/ws/dashboard']])(
  'the path %s is not that of the endpoint /ws/dashboard',
  async (path) => {
    const handler = jest.fn();
    const { server, port } = await startServer({}, (unstarted) =>
      unstarted.addWebSocketEndpoint('/ws/dashboard', handler),
    );
    const worker = await openWorker(port, 'w', {}, path);
    expect([worker.ack.success, server.getWorkerCount()]).toEqual([true, 1]);
    expect(handler).not.toHaveBeenCalled();
  },
);

test('the socket of an endpoint is a WebSocket of ws', async () => {
  const { server, port } = await startServer();
  const handled = nextCall((resolve) => server.addWebSocketEndpoint('/e', resolve));
  await openSocket(port, '/e');
  const [ws] = await handled;
  expect(ws).toBeInstanceOf(WebSocket);
  expect(ws.readyState).toBe(WebSocket.OPEN);
});

test('the handler of an endpoint gets the request too', async () => {
  const { server, port } = await startServer();
  const handled = nextCall((resolve) => server.addWebSocketEndpoint('/e', resolve));
  await openSocket(port, '/e?token=x', { headers: { 'x-one': '1' } });
  const [, req] = await handled;
  expect(req).toBeInstanceOf(http.IncomingMessage);
  expect([req.url, req.headers['x-one'], req.socket.localPort]).toEqual(['/e?token=x', '1', port]);
});

test('an endpoint does not compress, whatever the client offers', async () => {
  const { server, port } = await startServer({}, (unstarted) => unstarted.addWebSocketEndpoint('/e', echo('plain')));
  server.addWebSocketEndpoint('/f', echo('plain'), { perMessageDeflate: false });
  server.addWebSocketEndpoint('/g', echo('plain'), {});
  for (const path of ['/e', '/f', '/g']) {
    const peer = await openSocket(port, path, { perMessageDeflate: true });
    expect(peer.ws.extensions).toBe('');
  }
});

test.each([[true], [{ threshold: 0, serverNoContextTakeover: true, zlibDeflateOptions: { level: 9 } }]])(
  'an endpoint with perMessageDeflate %j compresses if the client offers it, and no other endpoint does',
  async (perMessageDeflate) => {
    const { port } = await startServer({}, (server) => {
      server.addWebSocketEndpoint('/e', echo('deflated'), { perMessageDeflate });
      server.addWebSocketEndpoint('/plain', echo('plain'));
    });
    const [offering, silent, other] = await Promise.all([
      openSocket(port, '/e', { perMessageDeflate: true }),
      openSocket(port, '/e', { perMessageDeflate: false }),
      openSocket(port, '/plain', { perMessageDeflate: true }),
    ]);
    expect([offering.ws.extensions.split(';')[0], silent.ws.extensions, other.ws.extensions]).toEqual([
      'permessage-deflate',
      '',
      '',
    ]);
    const text = 'again and '.repeat(5000);
    offering.ws.send(text);
    expect(await offering.next()).toBe(`deflated ${text}`);
  },
);

test('a message that is too large only when it is inflated closes its socket with 1009', async () => {
  const { port } = await startServer({ limits: { maxMessageBytes: 10000 } }, (server) =>
    server.addWebSocketEndpoint('/e', echo(''), { perMessageDeflate: true }),
  );
  const peer = await openSocket(port, '/e', { perMessageDeflate: true });
  peer.ws.send('x'.repeat(20000));
  expect((await peer.closed).code).toBe(1009);
});

test.each([
  ['yes', /^options must be an object, got 'yes'$/],
  [{ perMessageDeflate: 'yes' }, /^perMessageDeflate must be true, false or an object, got 'yes'$/],
  [
    { perMessageDeflate: { threshold: '1kb' } },
    /^perMessageDeflate\.threshold must be a number that is not negative, got '1kb'$/,
  ],
  [
    { perMessageDeflate: { serverMaxWindowBits: 16 } },
    /^perMessageDeflate\.serverMaxWindowBits must be a whole number from 8 to 15, got 16$/,
  ],
  [
    { perMessageDeflate: { zlibDeflateOptions: { level: 99 } } },
    /^perMessageDeflate\.zlibDeflateOptions must be options of node:zlib: .*level/,
  ],
  [
    { perMessageDeflate: { zlibInflateOptions: { chunkSize: 1 } } },
    /^perMessageDeflate\.zlibInflateOptions must be options of node:zlib: .*chunkSize/,
  ],
])('an endpoint with the options %j is refused at once', (options, message) => {
  const { server } = createServer();
  expect(() => server.addWebSocketEndpoint('/e', () => {}, options)).toThrow(TypeError);
  expect(() => server.addWebSocketEndpoint('/e', () => {}, options)).toThrow(message);
});

test('an endpoint answers a ping, takes binary frames, and closes with the code of its peer', async () => {
  const { server, port } = await startServer();
  const handled = nextCall((resolve) =>
    server.addWebSocketEndpoint('/e', (ws) => {
      echo('')(ws);
      resolve(ws);
    }),
  );
  const peer = await openSocket(port, '/e');
  const [ws] = await handled;
  const pong = once(peer.ws, 'pong');
  peer.ws.ping('are you there');
  expect((await pong)[0].toString()).toBe('are you there');
  peer.ws.send(Buffer.from([1, 2, 255]));
  expect(await peer.next()).toEqual(Buffer.from([1, 2, 255]));
  const close = once(ws, 'close');
  peer.ws.close(4321, 'done');
  const [code, reason] = await close;
  expect([code, reason.toString(), (await peer.closed).code]).toEqual([4321, 'done', 4321]);
});

test('frames that come in the packet of the upgrade reach the endpoint', async () => {
  const { port } = await startServer({}, (server) => server.addWebSocketEndpoint('/e', echo('got')));
  const raw = await RawWebSocket.connect(port, {
    path: '/e',
    after: Buffer.concat([frame(TEXT, 'one'), frame(TEXT, 'two')]),
  });
  expect([(await raw.frame()).text, (await raw.frame()).text]).toEqual(['got one', 'got two']);
});

test('a handler of an endpoint that throws takes nothing down', async () => {
  const { server, port } = await startServer({}, (unstarted) =>
    unstarted.addWebSocketEndpoint('/broken', () => {
      throw new Error('broken endpoint');
    }),
  );
  server.addWebSocketEndpoint('/fine', echo('fine'));
  await openSocket(port, '/broken');
  const peer = await openSocket(port, '/fine');
  peer.ws.send('x');
  expect(await peer.next()).toBe('fine x');
});

test('an upgrade to an endpoint without a key is refused with 400, and the endpoint goes on', async () => {
  const { port } = await startServer({}, (server) => server.addWebSocketEndpoint('/e', echo('fine')));
  const raw = await rawConnect(port);
  raw.write(upgradeHead('/e', { 'Sec-WebSocket-Key': undefined }));
  expect(await raw.end()).toMatch(/^HTTP\/1\.1 400 /);
  const peer = await openSocket(port, '/e');
  peer.ws.send('x');
  expect(await peer.next()).toBe('fine x');
});

test('a broken frame at an endpoint closes its socket with 1002 and takes nothing down', async () => {
  const { port } = await startServer({}, (server) => server.addWebSocketEndpoint('/e', echo('fine')));
  const raw = await RawWebSocket.connect(port, { path: '/e' });
  raw.write(frame(TEXT, 'x', { masked: false }));
  expect((await raw.close()).code).toBe(1002);
  const peer = await openSocket(port, '/e');
  peer.ws.send('x');
  expect(await peer.next()).toBe('fine x');
});

test('stop closes the sockets of endpoints with 1001', async () => {
  const { server, port } = await startServer({}, (unstarted) => unstarted.addWebSocketEndpoint('/e', echo('')));
  const peers = await Promise.all([openSocket(port, '/e'), openSocket(port, '/e')]);
  await server.stop();
  expect((await Promise.all(peers.map((peer) => peer.closed))).map(({ code }) => code)).toEqual([1001, 1001]);
});

test('stop forgets endpoints and keeps HTTP handlers', async () => {
  const handler = jest.fn();
  const { server } = createServer();
  server.addWebSocketEndpoint('/e', handler);
  server.addHttpHandler(answering('kept'));
  await server.start();
  await server.stop();
  await server.start();
  const worker = await openWorker(server.port, 'w', {}, '/e');
  expect([worker.ack.success, server.getWorkerCount()]).toEqual([true, 1]);
  expect(handler).not.toHaveBeenCalled();
  expect((await request(server.port)).text).toBe('kept');
});

describe('a kept-alive connection whose later request is an upgrade', () => {
  async function keptAlive(path) {
    const { server, port } = await startServer({}, (unstarted) => {
      unstarted.addHttpHandler(answering('plain'));
      unstarted.addWebSocketEndpoint('/e', echo('endpoint'));
    });
    const raw = await rawConnect(port);
    raw.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await raw.text(/plain$/);
    raw.received = Buffer.alloc(0);
    raw.write(upgradeHead(path));
    await raw.text(/^HTTP\/1\.1 101 [^]*\r\n\r\n/);
    raw.received = Buffer.alloc(0);
    return { server, raw, frame: () => RawWebSocket.prototype.frame.call(raw) };
  }

  test('becomes a socket of the endpoint', async () => {
    const { raw, frame: next } = await keptAlive('/e');
    raw.write(frame(TEXT, 'hello'));
    expect((await next()).text).toBe('endpoint hello');
  });

  test('becomes a worker on any other path', async () => {
    const { server, raw, frame: next } = await keptAlive('/workers');
    raw.write(json(registration('kept')));
    expect(JSON.parse((await next()).text)).toMatchObject({ type: 'worker_registration_ack', success: true });
    raw.write(json({ type: 'heartbeat', workerId: 'kept', timestamp: 'now' }));
    expect(JSON.parse((await next()).text)).toMatchObject({ type: 'heartbeat_ack', timestamp: 'now' });
    expect(server.send('kept', { type: 'work' })).toBe(true);
    expect((await next()).text).toBe('{"type":"work"}');
  });
});
