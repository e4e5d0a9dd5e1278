'use strict';

// Which upgrades are workers' at all: by their path, and by the page that they come from.

const http = require('node:http');
const { createServer, startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

const UPGRADE = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/** The status with which an upgrade is answered. */
function upgrade({ port }, path = '/', headers = {}, agent = undefined) {
  return new Promise((resolve, reject) => {
    const req = http.get({ port, path, agent, headers: { ...UPGRADE, ...headers } });
    req.once('error', reject);
    req.once('response', (res) => {
      res.resume();
      resolve(res.statusCode);
    });
    req.once('upgrade', (res, socket) => {
      socket.destroy();
      resolve(res.statusCode);
    });
  });
}

describe('allowedOrigins', () => {
  const allowedOrigins = ['https://app.example', 'https://Other.example:8443'];

  test.each([
    ['https://app.example', 101],
    ['HTTPS://APP.EXAMPLE', 101],
    ['https://other.example:8443', 101],
    ['https://other.example', 403],
    ['http://app.example', 403],
    ['https://app.example.evil.example', 403],
    ['https://app.example/', 403],
    ['null', 403],
    ['', 403],
  ])('an upgrade from the page %p gets %p', async (origin, status) => {
    const { server } = await startServer({ allowedOrigins });
    expect(await upgrade(server, '/', { Origin: origin })).toBe(status);
  });

  test('an upgrade without an Origin is let in: it comes from no page', async () => {
    const { server } = await startServer({ allowedOrigins });
    expect(await upgrade(server)).toBe(101);
    const worker = await connectWorker(server, 'w');
    expect(worker.ack.success).toBe(true);
  });

  test('the origin null is let in only where it is listed', async () => {
    const { server } = await startServer({ allowedOrigins: ['null'] });
    expect(await upgrade(server, '/', { Origin: 'null' })).toBe(101);
    expect(await upgrade(server, '/', { Origin: 'https://app.example' })).toBe(403);
  });

  test('with an empty list no page is let in, and workers are', async () => {
    const { server } = await startServer({ allowedOrigins: [] });
    expect(await upgrade(server, '/', { Origin: 'https://app.example' })).toBe(403);
    expect(await upgrade(server, '/')).toBe(101);
  });

  test('without the option any page is let in, as in 1.0.12', async () => {
    const { server } = await startServer();
    expect(await upgrade(server, '/', { Origin: 'https://anywhere.example' })).toBe(101);
  });

  test("HTTP requests and endpoints are the application's to judge", async () => {
    const { server } = await startServer({ allowedOrigins });
    server.addWebSocketEndpoint('/own', () => {});
    expect(await upgrade(server, '/own', { Origin: 'https://evil.example' })).toBe(101);
    const plain = { Upgrade: undefined, Connection: undefined, Origin: 'https://evil.example' };
    const status = await new Promise((resolve) => {
      http.get({ port: server.port, headers: JSON.parse(JSON.stringify(plain)) }, (res) => {
        res.resume();
        resolve(res.statusCode);
      });
    });
    expect(status).toBe(404);
  });
});

describe('workerPath', () => {
  test.each([
    ['/workers', 101],
    ['/workers?token=1', 101],
    ['/workers/', 404],
    ['/Workers', 404],
    ['/', 404],
    ['/workers/more', 404],
    ['//workers', 404],
  ])('with the path /workers an upgrade of %p gets %p', async (path, status) => {
    const { server } = await startServer({ workerPath: '/workers' });
    expect(await upgrade(server, path)).toBe(status);
  });

  test('there may be several', async () => {
    const { server } = await startServer({ workerPath: ['/a', '/b'] });
    expect(await upgrade(server, '/a')).toBe(101);
    expect(await upgrade(server, '/b')).toBe(101);
    expect(await upgrade(server, '/c')).toBe(404);
  });

  test('endpoints are where they are, and so are HTTP requests of that path', async () => {
    const { server } = await startServer({ workerPath: '/workers' });
    server.addWebSocketEndpoint('/own', () => {});
    server.addHttpHandler((req, res) => {
      res.statusCode = 299;
      res.end();
      return true;
    });
    expect(await upgrade(server, '/own')).toBe(101);
    expect(await upgrade(server, '/workers', { Connection: 'close' })).toBe(299);
  });

  test('it counts on a connection that served other requests, too', async () => {
    const { server } = await startServer({ workerPath: '/workers' });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    try {
      for (const [path, status] of [
        ['/elsewhere', 404],
        ['/workers', 101],
      ]) {
        const freed = new Promise((resolve) => agent.once('free', resolve));
        http.get({ port: server.port, agent }, (res) => res.resume());
        await freed;
        expect(await upgrade(server, path, {}, agent)).toBe(status);
      }
    } finally {
      agent.destroy();
    }
  });

  test('without the option every path but an endpoint is a worker connection, as in 1.0.12', async () => {
    const { server } = await startServer();
    expect(await upgrade(server, '/anything?at=all')).toBe(101);
  });
});

test.each([
  ['allowedOrigins', null, 'options.allowedOrigins must be a list of strings, got null'],
  ['allowedOrigins', 'https://a', "options.allowedOrigins must be a list of strings, got 'https://a'"],
  ['allowedOrigins', ['https://a', ''], "options.allowedOrigins[1] must be a string that is not empty, got ''"],
  ['allowedOrigins', [5], 'options.allowedOrigins[0] must be a string that is not empty, got 5'],
  ['workerPath', null, 'options.workerPath must be a string, or a list of one or more strings, got null'],
  ['workerPath', [], 'options.workerPath must be a string, or a list of one or more strings, got []'],
  [
    'workerPath',
    '',
    'options.workerPath must be a path that begins with "/", encoded as in a URL, without a query, got \'\'',
  ],
  [
    'workerPath',
    'ws',
    'options.workerPath must be a path that begins with "/", encoded as in a URL, without a query, got \'ws\'',
  ],
  [
    'workerPath',
    ['/a', '/b?x'],
    'options.workerPath[1] must be a path that begins with "/", encoded as in a URL, without a query, got \'/b?x\'',
  ],
  [
    'workerPath',
    '/wörker',
    'options.workerPath must be a path that begins with "/", encoded as in a URL, without a query, got \'/wörker\'',
  ],
  ['workerPath', ['/a', 5], 'options.workerPath[1] must be a string that is not empty, got 5'],
])('%s can not be %p', (name, value, message) => {
  expect(() => createServer({ [name]: value })).toThrow(new TypeError(message));
});

test('the lists are read by the constructor: what is done to them later changes nothing', async () => {
  const [allowedOrigins, workerPath] = [['https://a'], ['/a']];
  const { server } = createServer({ allowedOrigins, workerPath });
  allowedOrigins[0] = 'https://b';
  workerPath.push('/b');
  await server.start();
  expect(await upgrade(server, '/a', { Origin: 'https://b' })).toBe(403);
  expect(await upgrade(server, '/b', { Origin: 'https://a' })).toBe(404);
  expect(await upgrade(server, '/a', { Origin: 'https://a' })).toBe(101);
});
