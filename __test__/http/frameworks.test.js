'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const express = require('express');
const Koa = require('koa');
const { onCleanup } = require('../support/cleanup');
const { startServer } = require('../support/server');
const { request } = require('../support/http');

const TEXT = 'The quick brown fox jumps over the lazy dog.';

/** The handler by which an Express application takes part: what it doesn't route goes on to the next handler. */
function expressHandler(app) {
  return (req, res) =>
    new Promise((resolve, reject) => {
      res.on('close', () => resolve(true));
      app(req, res, (error) => (error ? reject(error) : resolve(false)));
    });
}

/** A server with an Express application over a folder that holds fox.txt. */
function startExpress() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.writeFileSync(path.join(folder, 'fox.txt'), TEXT);
  const app = express();
  app.use(express.json());
  app.get('/hello/:name', (req, res) => {
    res.json({ hello: req.params.name, query: req.query, ip: req.ip });
  });
  app.post('/sum', (req, res) => {
    res.status(201).send(String(req.body.reduce((a, b) => a + b, 0)));
  });
  app.get('/broken', async () => {
    throw new Error('broken route');
  });
  app.use('/files', express.static(folder));
  return startServer({}, (server) => server.addHttpHandler(expressHandler(app)));
}

test('Express routes, with parameters, query and the address of the client', async () => {
  const { port } = await startExpress();
  const response = await request(port, { path: '/hello/world?a=1' });
  expect(JSON.parse(response.text)).toEqual({
    hello: 'world',
    query: { a: '1' },
    ip: expect.stringMatching(/127\.0\.0\.1$/),
  });
  expect(response.headers['x-powered-by']).toBe('Express');
});

test('Express reads a JSON body', async () => {
  const { port } = await startExpress();
  const response = await request(port, {
    method: 'POST',
    path: '/sum',
    body: '[1,2,3]',
    headers: { 'content-type': 'application/json' },
  });
  expect([response.status, response.text]).toEqual([201, '6']);
});

test('what Express does not route gets the 404 of the server', async () => {
  const { port } = await startExpress();
  const response = await request(port, { path: '/nowhere' });
  expect([response.status, response.text]).toEqual([404, '{"error":"Not found"}']);
});

test('an error in an Express route that is passed on is logged, and the request gets 500', async () => {
  const { port, log } = await startExpress();
  expect((await request(port, { path: '/broken' })).status).toBe(500);
  expect(log.all('HTTP handler error').map((line) => line.context)).toEqual([
    { error: 'broken route', url: '/broken' },
  ]);
});

test('express.static serves a file, a range of it, and 304 for what the client has', async () => {
  const { port } = await startExpress();
  const whole = await request(port, { path: '/files/fox.txt' });
  expect([whole.status, whole.text]).toEqual([200, TEXT]);
  const range = await request(port, { path: '/files/fox.txt', headers: { range: 'bytes=4-8' } });
  expect([range.status, range.text, range.headers['content-range']]).toEqual([
    206,
    'quick',
    `bytes 4-8/${TEXT.length}`,
  ]);
  const same = await request(port, { path: '/files/fox.txt', headers: { 'if-none-match': whole.headers.etag } });
  expect([same.status, same.text]).toEqual([304, '']);
});

test('Koa answers through its callback', async () => {
  const app = new Koa();
  app.use(async (ctx, next) => {
    await next();
    ctx.set('x-koa', 'yes');
  });
  app.use(async (ctx) => {
    if (ctx.path === '/stream') ctx.body = fs.createReadStream(__filename);
    else ctx.body = { method: ctx.method, path: ctx.path, query: ctx.query, ip: ctx.ip };
  });
  const callback = app.callback();
  const { port } = await startServer({}, (server) =>
    server.addHttpHandler(async (req, res) => {
      await callback(req, res);
      return true;
    }),
  );
  const response = await request(port, { path: '/koa?x=y' });
  expect(response.headers['x-koa']).toBe('yes');
  expect(JSON.parse(response.text)).toEqual({
    method: 'GET',
    path: '/koa',
    query: { x: 'y' },
    ip: expect.stringMatching(/127\.0\.0\.1$/),
  });
  expect((await request(port, { path: '/stream' })).text).toBe(fs.readFileSync(__filename, 'utf8'));
});
