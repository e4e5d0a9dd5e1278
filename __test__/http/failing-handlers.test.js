'use strict';

const http = require('http');
const { once } = require('events');
const { startServer, until } = require('../support/server');
const { request, answering } = require('../support/http');

const throwing = (message) => () => {
  throw new Error(message);
};
const rejecting = (message) => async () => {
  throw new Error(message);
};

test.each([
  ['throws', throwing('it broke')],
  ['rejects', rejecting('it broke')],
])('a handler that %s is logged with the url, and the next one is asked', async (_, handler) => {
  const { port, log } = await startServer({}, (server) => {
    server.addHttpHandler(handler);
    server.addHttpHandler(answering('the next one'));
  });
  expect((await request(port, { path: '/some/url?q=1' })).text).toBe('the next one');
  expect(log.all('HTTP handler error')).toEqual([
    { level: 'error', message: 'HTTP handler error', context: { error: 'it broke', url: '/some/url?q=1' } },
  ]);
});

test.each([
  ['throws', throwing('it broke')],
  ['rejects', rejecting('it broke')],
  [
    'returns what throws when it is asked for its then',
    () => ({
      get then() {
        throw new Error('it broke');
      },
    }),
  ],
])('a request that no handler handles gets 500 if one of them %s', async (_, handler) => {
  for (const before of [[], [() => false], [async () => false]]) {
    for (const after of [[], [() => false], [async () => false]]) {
      const { port, log } = await startServer({}, (server) =>
        [...before, handler, ...after].forEach((each) => server.addHttpHandler(each)),
      );
      const response = await request(port);
      expect([response.status, response.headers['content-type'], response.text]).toEqual([
        500,
        'application/json',
        '{"error":"Internal server error"}',
      ]);
      expect(log.all('HTTP handler error')).toHaveLength(1);
    }
  }
});

test('a handler that has answered and then writes on is logged, and the server goes on', async () => {
  const { port, log } = await startServer({}, (server) =>
    server.addHttpHandler((req, res) => {
      res.end('answered');
      res.write('and more');
      return true;
    }),
  );
  for (let i = 0; i < 2; i += 1) expect((await request(port)).text).toBe('answered');
  await until(() => log.all('HTTP handler error').length === 2);
});

test('a handler that declines and leaves a response behind that throws takes nothing down', async () => {
  const { port, log } = await startServer({}, (server) =>
    server.addHttpHandler((req, res) => {
      if (req.url !== '/broken') return answering('fine')(req, res);
      res.writeHead = () => {
        throw new Error('no head');
      };
      return false;
    }),
  );
  await expect(request(port, { path: '/broken' })).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(log.all('HTTP handler error').map((line) => line.context)).toEqual([{ error: 'no head', url: '/broken' }]);
  expect((await request(port)).text).toBe('fine');
});

test.each([
  ['returns false', () => false, 0],
  ['throws', throwing('afterwards'), 1],
  ['rejects', rejecting('afterwards'), 1],
])('a handler that has answered and then %s has handled the request', async (_, afterwards, logged) => {
  const later = jest.fn(async () => true);
  const { port, log } = await startServer({}, (server) => {
    server.addHttpHandler((req, res) => {
      res.end('answered');
      return afterwards();
    });
    server.addHttpHandler(later);
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 2; i += 1) {
    const response = await request(port, { agent });
    expect([response.status, response.text]).toEqual([200, 'answered']);
  }
  agent.destroy();
  expect(later).not.toHaveBeenCalled();
  expect(log.all('HTTP handler error').map((line) => line.context.error)).toEqual(Array(2 * logged).fill('afterwards'));
});

test.each([
  ['returns false', () => false, []],
  ['rejects', throwing('afterwards'), ['afterwards']],
])('a handler that answers after a while and then %s has handled the request', async (_, afterwards, logged) => {
  const later = jest.fn(async () => true);
  let settled;
  const settle = new Promise((resolve) => {
    settled = resolve;
  });
  const { port, log } = await startServer({}, (server) => {
    server.addHttpHandler(async (req, res) => {
      await new Promise((resolve) => setImmediate(resolve));
      res.end('answered');
      await once(res, 'close');
      setImmediate(settled);
      return afterwards();
    });
    server.addHttpHandler(later);
  });
  expect((await request(port)).text).toBe('answered');
  await settle;
  expect(later).not.toHaveBeenCalled();
  expect(log.all('HTTP handler error').map((line) => line.context.error)).toEqual(logged);
});

test.each([
  ['at once', (res) => res],
  ['after a while', async (res) => res],
])(
  'a handler that declines %s, and leaves what no answer can be made with, costs its connection alone',
  async (_, later) => {
    const { server, log, port } = await startServer();
    let isBad = true;
    server.addHttpHandler((req, res) => {
      if (isBad) res.statusMessage = 'two\nlines';
      isBad = false;
      const declined = later(res);
      return declined === res ? false : declined.then(() => false);
    });
    await expect(request(port)).rejects.toThrow(/hang up|ECONNRESET/);
    expect(log.contexts('HTTP handler error')).toEqual([{ error: expect.stringContaining('statusMessage'), url: '/' }]);
    expect((await request(port)).status).toBe(404);
  },
);
