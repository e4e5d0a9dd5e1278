'use strict';

const crypto = require('crypto');
const { once } = require('events');
const { PassThrough, pipeline } = require('stream');
const { startServer, nextCall } = require('../support/server');
const { request, readAll } = require('../support/http');
const { rawConnect } = require('../support/raw');
const { http } = require('../support/transport');

/** Answers with method, url and body. */
async function echo(req, res) {
  const body = await readAll(req);
  res.end(`${req.method} ${req.url} ${body}`);
  return true;
}

const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
const fiveMegabytes = () => crypto.randomBytes(5 * 1024 * 1024);

test('a body of 5 MB arrives complete', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      res.end(sha(await readAll(req)));
      return true;
    }),
  );
  const body = fiveMegabytes();
  expect((await request(port, { method: 'POST', body })).text).toBe(sha(body));
});

test('a response of 5 MB that is piped arrives complete', async () => {
  const body = fiveMegabytes();
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      const source = new PassThrough();
      pipeline(source, res, () => {});
      for (let at = 0; at < body.length; at += 100000) source.write(body.subarray(at, at + 100000));
      source.end();
      return true;
    }),
  );
  const response = await request(port);
  expect(sha(response.body)).toBe(sha(body));
  expect(response.headers['transfer-encoding']).toBe('chunked');
});

test('a body streams through a handler while it is still being sent', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      req.pipe(res);
      return true;
    }),
  );
  const req = http.request({ port, method: 'POST', agent: false });
  req.write('one ');
  const [res] = await once(req, 'response');
  const [chunk] = await once(res, 'data');
  expect(chunk.toString()).toBe('one ');
  req.end('two');
  const rest = [];
  res.on('data', (data) => rest.push(data));
  await once(res, 'end');
  expect(Buffer.concat(rest).toString()).toBe('two');
});

test('a head that arrives byte by byte is read', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const raw = await rawConnect(port);
  raw.socket.setNoDelay(true);
  for (const byte of 'POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody') {
    raw.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await raw.text(/POST \/slow body$/)).toMatch(/^HTTP\/1\.1 200 OK/);
});

test('a head that comes with a part of its body, the rest later, is one request', async () => {
  let begun;
  const begin = nextCall((resolve) => {
    begun = resolve;
  });
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      req.once('data', begun);
      return echo(req, res);
    }),
  );
  const raw = await rawConnect(port);
  raw.write('POST /parts HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello');
  await begin;
  raw.write('world');
  await raw.text(/POST \/parts helloworld$/);
});

test('a chunked body is read', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const raw = await rawConnect(port);
  raw.write(
    'POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n',
  );
  await raw.text(/POST \/chunks hello world$/);
});

test('a client that expects 100-continue gets it before it sends its body', async () => {
  const { port } = await startServer({}, (server) => server.addHttpHandler(echo));
  const raw = await rawConnect(port);
  raw.write('POST /expect HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
  await raw.text(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  raw.write('body');
  await raw.text(/POST \/expect body$/);
});

test('the response to HEAD has headers and no body', async () => {
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      res.setHeader('content-length', 5);
      res.end('hello');
      return true;
    }),
  );
  const response = await request(port, { method: 'HEAD' });
  expect([response.status, response.headers['content-length'], response.text]).toEqual([200, '5', '']);
});

test('a client that goes away in the middle of its body is seen by the handler', async () => {
  const events = [];
  let begun;
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(
      (req) =>
        new Promise((resolve) => {
          req.on('aborted', () => events.push('aborted'));
          req.on('error', (error) => events.push(error.code));
          req.on('close', () => {
            events.push('close');
            resolve(true);
            ended();
          });
          req.once('data', () => begun());
        }),
    ),
  );
  let ended;
  const end = nextCall((resolve) => {
    ended = resolve;
  });
  const begin = nextCall((resolve) => {
    begun = resolve;
  });
  const req = http.request({ port, method: 'POST', agent: false, headers: { 'content-length': 1000 } });
  req.on('error', () => {});
  req.write('some');
  await begin;
  req.destroy();
  await end;
  expect(events).toEqual(['aborted', 'ECONNRESET', 'close']);
});

test('a client that goes away before the response is seen by the handler', async () => {
  let asked;
  let closed;
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      res.on('close', () => closed(res.writableFinished));
      asked();
      return true;
    }),
  );
  const ask = nextCall((resolve) => {
    asked = resolve;
  });
  const close = nextCall((resolve) => {
    closed = resolve;
  });
  const req = http.get({ port, agent: false });
  req.on('error', () => {});
  await ask;
  req.destroy();
  expect(await close).toEqual([false]);
});
