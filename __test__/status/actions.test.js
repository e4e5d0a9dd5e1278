'use strict';

// `POST <path>/actions`: what it does, and for whom it does nothing.

const net = require('node:net');
const { connectWorker } = require('../support/worker.js');
const { nextCall } = require('../support/server.js');
const { act, startStatus } = require('./support/status.js');

const ON = { authenticate: () => true, actions: true };
const DRAIN = { action: 'drain', workerId: 'w' };
const statusOf = (server) => server.getWorkerInfo().map(({ status }) => status);

test('drain and resume set the status of a worker', async () => {
  const { port, server } = await startStatus(ON);
  await connectWorker(server, 'w');
  const answer = await act(port, DRAIN);
  expect([answer.status, answer.json]).toEqual([200, DRAIN]);
  expect(statusOf(server)).toEqual(['draining']);
  expect((await act(port, { action: 'resume', workerId: 'w' })).status).toBe(200);
  expect(statusOf(server)).toEqual(['available']);
});

test('disconnect closes a worker with 1000', async () => {
  const { port, server } = await startStatus(ON);
  const worker = await connectWorker(server, 'w');
  expect((await act(port, { action: 'disconnect', workerId: 'w' })).status).toBe(200);
  expect(await worker.closed).toEqual({ code: 1000, reason: '' });
  if (server.getWorkerCount() > 0) await nextCall((handler) => server.onWorkerDisconnected(handler));
});

test.each(['drain', 'resume', 'disconnect'])('%s of an unknown worker is 404', async (action) => {
  const { port } = await startStatus(ON);
  const { status, json } = await act(port, { action, workerId: 'nobody' });
  expect([status, json]).toEqual([404, { error: 'No such worker' }]);
});

test('a worker of any name can be meant', async () => {
  const { port, server } = await startStatus(ON);
  const workerId = '<img src=x onerror=alert(1)>"\n\u202e';
  await connectWorker(server, workerId);
  expect((await act(port, { action: 'drain', workerId })).json).toEqual({ action: 'drain', workerId });
  expect(statusOf(server)).toEqual(['draining']);
});

describe('where it is refused nothing is done', () => {
  const own = (port) => `127.0.0.1:${port}`;

  test.each([
    ['of another type', { 'Content-Type': 'text/plain' }],
    ['of a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['of a type that begins like JSON', { 'Content-Type': 'application/jsonp' }],
    ['with JSON as a parameter', { 'Content-Type': 'text/plain; application/json' }],
    ['with an empty type', { 'Content-Type': '' }],
    ['of another host', { Origin: 'http://elsewhere.example' }],
    ['of no origin that can be told', { Origin: 'null' }],
    ['of an empty origin', { Origin: '' }],
    ['of another port', { Origin: 'http://127.0.0.1:1' }],
    ['of the same port elsewhere', (port) => ({ Origin: `http://elsewhere.example:${port}` })],
    ['with its own host as the user', (port) => ({ Origin: `http://${own(port)}@elsewhere.example` })],
    ['with its own host in the path', (port) => ({ Origin: `http://elsewhere.example/${own(port)}` })],
    ['of several origins', (port) => ({ Origin: `http://${own(port)} http://elsewhere.example` })],
    ['of another scheme', (port) => ({ Origin: `file://${own(port)}` })],
  ])('%s: 403', async (_name, given) => {
    const { port, server } = await startStatus(ON);
    await connectWorker(server, 'w');
    const headers = typeof given === 'function' ? given(port) : given;
    expect((await act(port, DRAIN, headers)).status).toBe(403);
    expect(statusOf(server)).toEqual(['available']);
  });

  test.each([
    ['no JSON', '{'],
    ['null', null],
    ['a list', []],
    ['a string', '"drain"'],
    ['no action', { workerId: 'w' }],
    ['another action', { action: 'explode', workerId: 'w' }],
    ['what every object has', { action: 'toString', workerId: 'w' }],
    ['a prototype', { action: '__proto__', workerId: 'w' }],
    ['no worker', { action: 'drain' }],
    ['a worker that is no string', { action: 'drain', workerId: ['w'] }],
  ])('%s: 400', async (_name, body) => {
    const { port, server } = await startStatus(ON);
    await connectWorker(server, 'w');
    const { status, json } = await act(port, body);
    expect([status, json]).toEqual([400, { error: expect.any(String) }]);
    expect(statusOf(server)).toEqual(['available']);
  });

  test('a body that breaks off leaves no line', async () => {
    const { port, server, log } = await startStatus(ON);
    await connectWorker(server, 'w');
    const socket = net.connect(port, '127.0.0.1');
    const head =
      'POST /status/actions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n';
    await new Promise((resolve) => socket.write(`${head}{"action":"drain",`, resolve));
    // It has been received when what came after it is answered.
    await act(port, { action: 'drain', workerId: 'nobody' });
    socket.resetAndDestroy();
    await act(port, { action: 'drain', workerId: 'nobody' });
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect(statusOf(server)).toEqual(['available']);
  });

  test('a body that is too large: 413', async () => {
    const { port } = await startStatus(ON);
    expect((await act(port, { action: 'drain', workerId: 'w'.repeat(20_000) })).status).toBe(413);
  });
});

describe('an origin of its own host', () => {
  test.each([
    ['itself', (port) => ({ Origin: `http://127.0.0.1:${port}` })],
    ['behind TLS', () => ({ Host: 'status.example', Origin: 'https://status.example' })],
    ['behind TLS, with the port', () => ({ Host: 'status.example:443', Origin: 'https://status.example' })],
    ['in other letters', () => ({ Host: 'Status.Example', Origin: 'https://status.example' })],
    ['of IPv6', () => ({ Host: '[::1]:80', Origin: 'http://[::1]' })],
  ])('%s is let in', async (_name, headersOf) => {
    const { port, server } = await startStatus(ON);
    await connectWorker(server, 'w');
    expect((await act(port, DRAIN, headersOf(port))).status).toBe(200);
  });

  test('the type may have a charset', async () => {
    const { port, server } = await startStatus(ON);
    await connectWorker(server, 'w');
    expect((await act(port, DRAIN, { 'Content-Type': 'Application/JSON; charset=utf-8' })).status).toBe(200);
  });
});

test('off they are 404, whatever comes', async () => {
  const { port, server } = await startStatus({ authenticate: () => true });
  await connectWorker(server, 'w');
  expect((await act(port, DRAIN)).status).toBe(404);
  expect((await act(port, '{', { 'Content-Type': 'text/plain', Origin: 'http://elsewhere.example' })).status).toBe(404);
  expect(statusOf(server)).toEqual(['available']);
});
