'use strict';

const { startServer, nextCall } = require('../support/server');
const { openSocket, openWorker, refusedUpgrade } = require('../support/socket');
const { once } = require('events');
const { RawWebSocket, registration } = require('../support/raw');

describe('registrationTimeoutMs', () => {
  const limits = { registrationTimeoutMs: 150 };

  test('a socket that does not register in time is closed with 4004 and a warning', async () => {
    const { port, log } = await startServer({ limits });
    const peer = await openSocket(port);
    expect(await peer.closed).toEqual({ code: 4004, reason: 'Registration timeout' });
    expect(log.lines.filter((line) => line.level === 'warn')).toHaveLength(1);
    await log.line('Unregistered WebSocket connection closed');
  });

  test('a registered worker is not touched', async () => {
    const { port } = await startServer({ limits });
    const worker = await openWorker(port, 'w');
    const later = await openSocket(port);
    await later.closed;
    worker.send({ type: 'heartbeat', workerId: 'w', timestamp: 't' });
    expect((await worker.nextJson()).type).toBe('heartbeat_ack');
  });

  test('a socket one of whose messages a handler took is exempt', async () => {
    const { server, port } = await startServer({ limits });
    const taken = nextCall((resolve) => server.onWorkerMessage('status', resolve));
    const client = await openSocket(port);
    client.send({ type: 'status' });
    expect((await taken)[0].id).toBe('unknown');
    const later = await openSocket(port);
    await later.closed;
    const pong = once(client.ws, 'pong');
    client.ws.ping();
    await pong;
    client.send(registration('at last'));
    expect((await client.nextJson()).success).toBe(true);
  });

  test('a socket whose messages no handler takes is not exempt', async () => {
    const { port, log } = await startServer({ limits });
    const peer = await openSocket(port);
    peer.send({ type: 'nobody listens' });
    await log.line('Unhandled message type from worker');
    expect((await peer.closed).code).toBe(4004);
  });
});

describe('maxConnections', () => {
  test('an upgrade beyond it gets 503, until a connection has left', async () => {
    const { server, port, log } = await startServer({ limits: { maxConnections: 3 } });
    const workers = await Promise.all(['a', 'b', 'c'].map((id) => openWorker(port, id)));
    expect(await refusedUpgrade(port)).toBe(503);
    expect(await refusedUpgrade(port)).toBe(503);
    expect(server.getWorkerCount()).toBe(3);
    await log.line((line) => line.level === 'warn');
    const gone = nextCall((resolve) => server.onWorkerDisconnected(resolve));
    workers[0].ws.close();
    await gone;
    await workers[0].closed;
    // The place is free at the latest when the connection is closed at both ends, which has no event here.
    const taken = await openWithPatience(port, 'd');
    expect(taken.ack.success).toBe(true);
    expect(await refusedUpgrade(port)).toBe(503);
  });

  test('workers that are connected are not touched by upgrades that are refused', async () => {
    const { port } = await startServer({ limits: { maxConnections: 1 } });
    const worker = await openWorker(port, 'a');
    for (let i = 0; i < 20; i += 1) expect(await refusedUpgrade(port)).toBe(503);
    worker.send({ type: 'heartbeat', workerId: 'a', timestamp: 't' });
    expect((await worker.nextJson()).type).toBe('heartbeat_ack');
  });
});

describe('maxUnregistered', () => {
  test('an upgrade beyond it gets 503, until one of the sockets has registered', async () => {
    const { port, log } = await startServer({ limits: { maxUnregistered: 2 } });
    const [one] = await Promise.all([openSocket(port), openSocket(port)]);
    expect(await refusedUpgrade(port)).toBe(503);
    await log.line((line) => line.level === 'warn');
    one.send(registration('one'));
    expect((await one.nextJson()).success).toBe(true);
    const third = await openSocket(port);
    expect(third.ws.readyState).toBe(1);
    expect(await refusedUpgrade(port)).toBe(503);
  });

  test('registered workers do not count', async () => {
    const { server, port } = await startServer({ limits: { maxUnregistered: 1 } });
    for (let i = 0; i < 10; i += 1) await openWorker(port, `w${i}`);
    expect(server.getWorkerCount()).toBe(10);
  });
});

/** A worker, as soon as there is a place for it. */
async function openWithPatience(port, id) {
  for (;;) {
    try {
      return await openWorker(port, id);
    } catch (error) {
      if (!/503/.test(error.message)) throw error;
    }
  }
}

describe('stopGraceMs', () => {
  /** A worker and an unregistered socket that answer nothing. */
  async function startMute(limits) {
    const { server, port, log } = await startServer({ limits });
    const mute = [await RawWebSocket.connect(port), await RawWebSocket.register(port, 'mute')];
    for (const raw of mute) raw.socket.pause();
    return { server, port, log, mute };
  }

  test('stop cuts peers that do not answer its close when the grace is over', async () => {
    const { server, mute } = await startMute({ stopGraceMs: 100 });
    const handler = jest.fn();
    server.onWorkerDisconnected(handler);
    await server.stop();
    for (const raw of mute) {
      raw.socket.resume();
      const close = await raw.close();
      expect([close.code, close.reason]).toEqual([1001, 'Server shutting down']);
      await raw.end();
    }
    expect(handler).not.toHaveBeenCalled();
    expect(server.getWorkerCount()).toBe(0);
  });

  test('stop waits for a peer that answers within the grace', async () => {
    const { server, port } = await startServer({ limits: { stopGraceMs: 60000 } });
    const peers = await Promise.all([openWorker(port, 'a'), openWorker(port, 'b'), openSocket(port)]);
    await server.stop();
    expect(await Promise.all(peers.map((peer) => peer.closed))).toEqual(
      Array(3).fill({ code: 1001, reason: 'Server shutting down' }),
    );
  });

  test('a mute peer does not keep the port after the stop', async () => {
    const { server, port } = await startMute({ stopGraceMs: 50 });
    await server.stop();
    const next = await startServer({ port });
    expect(next.port).toBe(port);
    expect((await openWorker(port, 'w')).ack.success).toBe(true);
  });

  test('a second stop while the first one waits ends as well', async () => {
    const { server } = await startMute({ stopGraceMs: 100 });
    await Promise.all([server.stop(), server.stop()]);
    expect(server.getWorkerCount()).toBe(0);
  });
});
