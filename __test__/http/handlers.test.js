'use strict';

const { once } = require('events');
const { startServer, createServer } = require('../support/server');
const { request, answering } = require('../support/http');
const { http } = require('../support/transport');

test('a server without HTTP handlers answers 404 with a JSON body', async () => {
  const { port } = await startServer();
  const response = await request(port, { path: '/anything' });
  expect(response.status).toBe(404);
  expect(response.headers['content-type']).toBe('application/json');
  expect(response.text).toBe('{"error":"Not found"}');
});

test('handlers are asked in the order in which they were added, until one returns true', async () => {
  const asked = [];
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async (req) => {
      asked.push(`first ${req.url}`);
      return false;
    });
    server.addHttpHandler(async (req, res) => {
      asked.push('second');
      res.end('second');
      return true;
    });
    server.addHttpHandler(async () => {
      asked.push('third');
      return true;
    });
  });
  expect((await request(port, { path: '/a?b=c' })).text).toBe('second');
  expect(asked).toEqual(['first /a?b=c', 'second']);
});

test('a handler is asked only when the promise of the one before it has settled', async () => {
  const asked = [];
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      asked.push('first is done');
      return false;
    });
    server.addHttpHandler(async (req, res) => {
      asked.push('second');
      res.end();
      return true;
    });
  });
  await request(port);
  expect(asked).toEqual(['first is done', 'second']);
});

test('a handler that is not async may answer as well', async () => {
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(() => false);
    server.addHttpHandler((req, res) => {
      res.end('sync');
      return true;
    });
  });
  expect((await request(port)).text).toBe('sync');
});

test.each([[undefined], [null], [0], ['']])('a handler that returns %p has not handled the request', async (result) => {
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async () => result);
    server.addHttpHandler(answering('the next one'));
  });
  expect((await request(port)).text).toBe('the next one');
});

test('a truthy result counts as handled', async () => {
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async (req, res) => {
      setImmediate(() => res.end('later'));
      return 'yes';
    });
    server.addHttpHandler(answering('the next one'));
  });
  expect((await request(port)).text).toBe('later');
});

test('a handler that declines leaves its headers, but for the length of what it did not send', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler((req, res) => {
      res.setHeader('access-control-allow-origin', '*');
      res.setHeader('content-length', '5');
      return false;
    }),
  );
  const response = await request(port);
  expect([response.status, response.headers['access-control-allow-origin'], response.text]).toEqual([
    404,
    '*',
    '{"error":"Not found"}',
  ]);
});

test.each([
  ['true', true, 'later'],
  ['false', false, 'the next one'],
])('a thenable that is no Promise counts as the value that it resolves with, here %s', async (_, value, text) => {
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler((req, res) => {
      if (value) setImmediate(() => setImmediate(() => res.end('later')));
      return { then: (resolve) => setImmediate(resolve, value) };
    });
    server.addHttpHandler(answering('the next one'));
  });
  expect((await request(port)).text).toBe(text);
});

test('handlers that are async and handlers that are not are asked in one order', async () => {
  const asked = [];
  const { port } = await startServer({}, (server) => {
    const passing = [
      () => false,
      async () => false,
      () => {
        throw new Error('sync');
      },
      async () => {
        throw new Error('async');
      },
      () => {},
    ];
    passing.forEach((handler, i) =>
      server.addHttpHandler(() => {
        asked.push(i);
        return handler();
      }),
    );
    server.addHttpHandler(answering('the last one'));
  });
  expect((await request(port)).text).toBe('the last one');
  expect(asked).toEqual([0, 1, 2, 3, 4]);
});

test('a request whose client has left while a handler was asked goes to no other', async () => {
  const later = jest.fn(async () => true);
  let settled;
  const settle = new Promise((resolve) => {
    settled = resolve;
  });
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async (req, res) => {
      client.destroy();
      await once(res, 'close');
      setImmediate(settled);
      return false;
    });
    server.addHttpHandler(later);
  });
  const client = http.get({ port, host: '127.0.0.1', agent: false });
  client.on('error', () => {});
  await settle;
  expect(later).not.toHaveBeenCalled();
});

test('a handler that has begun to answer and then returns false has handled the request', async () => {
  const later = jest.fn(async () => true);
  const { port } = await startServer({}, (server) => {
    server.addHttpHandler(async (req, res) => {
      res.write('begun, ');
      setImmediate(() => res.end('ended'));
      return false;
    });
    server.addHttpHandler(later);
  });
  expect((await request(port)).text).toBe('begun, ended');
  expect(later).not.toHaveBeenCalled();
});

test('a handler that is added while the server runs is asked from then on', async () => {
  const { server, port } = await startServer();
  expect((await request(port)).status).toBe(404);
  server.addHttpHandler(answering('added'));
  expect((await request(port)).text).toBe('added');
});

test('HTTP handlers outlive a stop', async () => {
  const { server } = createServer();
  server.addHttpHandler(answering('still here'));
  await server.start();
  await server.stop();
  await server.start();
  expect((await request(server.port)).text).toBe('still here');
});

test('req and res are those of Node', async () => {
  let seen;
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      seen = {
        req: req instanceof http.IncomingMessage,
        res: res instanceof http.ServerResponse,
        method: req.method,
        header: req.headers['x-one'],
      };
      res.writeHead(201, { 'x-two': '2' });
      res.end();
      return true;
    }),
  );
  const response = await request(port, { method: 'PUT', headers: { 'x-one': '1' } });
  expect(seen).toEqual({ req: true, res: true, method: 'PUT', header: '1' });
  expect([response.status, response.headers['x-two']]).toEqual([201, '2']);
});

test.each([
  ['127.0.0.1', /^(::ffff:)?127\.0\.0\.1$/],
  ['::1', /^::1$/],
])('req.socket knows the address of a client from %s', async (host, address) => {
  const seen = [];
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      seen.push(req.socket.remoteAddress, req.socket.remotePort, req.socket.localPort);
      res.end();
      return true;
    }),
  );
  const req = http.get({ port, host, agent: false });
  const [socket] = await once(req, 'socket');
  const [res] = await once(req, 'response');
  const clientPort = socket.localPort;
  res.resume();
  await once(res, 'end');
  expect(seen).toEqual([expect.stringMatching(address), clientPort, port]);
});
