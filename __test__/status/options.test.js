'use strict';

const { statusPage } = require('../../lib/status/index.js');
const { createServer } = require('../support/server.js');
const { warningsOfTheCode } = require('../support/warnings.js');
const { act, get, startStatus } = require('./support/status.js');

describe('a wrong option is a TypeError that names it, without its value', () => {
  test.each([
    ['options', null],
    ['options', 'open-sesame'],
    ['options.path', { path: 'status' }],
    ['options.path', { path: '' }],
    ['options.path', { path: '/a?b' }],
    ['options.path', { path: '/a#b' }],
    ['options.path', { path: '/a b' }],
    ['options.path', { path: null }],
    ['options.path', { path: 5 }],
    ['options.authenticate', { authenticate: 'open-sesame' }],
    ['options.authenticate', { authenticate: null }],
    ['options.actions', { actions: 'yes', authenticate: () => true }],
    ['options.actions', { actions: null }],
  ])('%s: %j', (name, options) => {
    const { server } = createServer();
    expect(() => statusPage(server, options)).toThrow(TypeError);
    expect(() => statusPage(server, options)).toThrow(new RegExp(`^${name.replace('.', '\\.')} must be `));
    expect(() => statusPage(server, options)).not.toThrow(/sesame/);
  });

  test('actions without authenticate', () => {
    const { server } = createServer();
    expect(() => statusPage(server, { actions: true })).toThrow(TypeError);
    expect(() => statusPage(server, { actions: true })).toThrow(/^options\.actions must be /);
    statusPage(server, { actions: false });
    statusPage(server, { actions: true, authenticate: () => true });
  });

  test.each([[undefined], [null], [{}], ['server']])('a server that is %j', (server) => {
    expect(() => statusPage(server)).toThrow(new TypeError('server must be a WorkerServer'));
  });
});

test('an option that is not known is warned of', () => {
  const { server } = createServer();
  const warnings = warningsOfTheCode();
  statusPage(server, { action: false });
  expect(warnings).toEqual([
    ['WORKER_SERVER_UNKNOWN_OPTION', expect.stringContaining("'action' (did you mean actions?)")],
  ]);
});

describe('path', () => {
  test.each([
    ['/status', undefined],
    ['/status', {}],
    ['/admin/fleet', { path: '/admin/fleet' }],
    ['/admin', { path: '/admin/' }],
  ])('the page is at %s with %j, and nowhere else', async (path, options) => {
    const { port } = await startStatus(options);
    expect((await get(port, path)).headers['content-type']).toBe('text/html; charset=utf-8');
    expect((await get(port, `${path}?a=b`)).status).toBe(200);
    expect((await get(port, `${path}.json`)).json.workers).toEqual([]);
    expect((await get(port, `${path}/explain`)).json.workers).toEqual([]);
    expect((await act(port, {}, {}, `${path}/actions`)).json).toEqual({ error: 'Actions are off' });
    for (const other of ['/', `${path}x`, `${path}/x`, `${path}.jsonx`, `/x${path}`]) {
      const { status, text } = await get(port, other);
      expect([other, status, text]).toEqual([other, 404, '{"error":"Not found"}']);
    }
  });

  test('may be the root', async () => {
    const { port } = await startStatus({ path: '/' });
    expect((await get(port, '/')).headers['content-type']).toBe('text/html; charset=utf-8');
    expect((await get(port, '/.json')).json.workers).toEqual([]);
    expect((await get(port, '/other')).status).toBe(404);
  });

  test('two pages of one server are each their own', async () => {
    const { port, server } = await startStatus({ path: '/one' });
    server.addHttpHandler(statusPage(server, { path: '/two', authenticate: () => false }));
    expect((await get(port, '/one.json')).status).toBe(200);
    expect((await get(port, '/two.json')).status).toBe(401);
  });

  test('what asks in absolute form gets the same', async () => {
    const { port } = await startStatus();
    expect((await get(port, `http://localhost:${port}/status.json`)).json.workers).toEqual([]);
  });
});

test.each([
  ['/status', 'GET, HEAD'],
  ['/status.json', 'GET, HEAD'],
  ['/status/events', 'GET, HEAD'],
  ['/status/explain', 'GET, HEAD'],
  ['/status/actions', 'POST'],
])('another method on %s is 405, with the one that it takes', async (path, allow) => {
  const { port } = await startStatus({ authenticate: () => true, actions: true });
  const method = allow === 'POST' ? 'GET' : 'POST';
  const { status, headers } = await get(port, path, {}, { method });
  expect([status, headers.allow]).toEqual([405, allow]);
});

test('HEAD is answered like GET, without a body', async () => {
  const { port } = await startStatus();
  for (const path of ['/status', '/status.json']) {
    const { status, headers, text } = await get(port, path, {}, { method: 'HEAD' });
    expect([status, text]).toEqual([200, '']);
    expect(Number(headers['content-length'])).toBeGreaterThan(10);
  }
  expect((await get(port, '/status/events', {}, { method: 'HEAD' })).headers['content-type']).toBe('text/event-stream');
});
