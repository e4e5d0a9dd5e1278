'use strict';

const { startServer, until } = require('../support/server');
const { block } = require('../support/fleet');
const { openWorker } = require('../support/socket');
const { randomFrom } = require('../support/random');

/** What becomes of each request of a server: `ends` has an entry for each end of it. */
function followRequests(server) {
  const ends = new Map();
  const end = (requestId, how) => ends.get(requestId).push(how);
  server.onWorkerMessage('result', (worker, { requestId }) => {
    server.releaseRequest(requestId, { incrementCompleted: true });
    end(requestId, 'released');
  });
  server.onWorkerDisconnected((worker, pending) => {
    for (const requestId of pending) end(requestId, 'disconnected');
  });
  return ends;
}

/** A worker that answers requests, until at one of them it leaves: cut or closed, before or after its answer, or in between two. */
function serveUntilDeath(peer, random) {
  peer.ws.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.type !== 'work') return;
    const answer = () => peer.send({ type: 'result', requestId: message.requestId });
    const fate = random();
    if (fate < 0.75) answer();
    else if (fate < 0.85) peer.ws.terminate();
    else if (fate < 0.9) {
      answer();
      peer.ws.terminate();
    } else if (fate < 0.95) {
      answer();
      peer.ws.close();
    } else if (fate < 0.98) peer.ws.close(4000);
    // Else it forgets the request and lives on.
  });
}

test('I1: over 200 rounds in which workers die at random, each tracked request ends exactly once', async () => {
  const { server, port } = await startServer();
  const ends = followRequests(server);
  let tracked = 0;
  for (let round = 0; round < 200; round += 1) {
    const random = randomFrom(round);
    const peers = await Promise.all([0, 1, 2].map((i) => openWorker(port, `${round}-${i}`)));
    for (const peer of peers) serveUntilDeath(peer, random);
    for (let turn = 0; turn < 15; turn += 1) {
      const batch = 1 + Math.floor(random() * 3);
      for (let i = 0; i < batch; i += 1) {
        const worker = server.getAvailableWorker('model');
        if (!worker) break;
        const requestId = `request-${tracked}`;
        if (server.send(worker.id, { type: 'work', requestId })) {
          tracked += 1;
          ends.set(requestId, []);
          server.trackRequest(worker.id, requestId);
        }
      }
      // Sometimes the next requests come before anybody could answer, sometimes after.
      if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 3));
      else await new Promise((resolve) => setImmediate(resolve));
    }
    // The survivors die with whatever they have.
    for (const peer of peers) peer.ws.terminate();
    await until(() => server.getWorkerCount() === 0);
  }
  expect(tracked).toBeGreaterThan(1000);
  const notOnce = [...ends].filter(([, how]) => how.length !== 1);
  expect(notOnce).toEqual([]);
  const counts = { released: 0, disconnected: 0 };
  for (const [how] of ends.values()) counts[how] += 1;
  expect(counts.released).toBeGreaterThan(100);
  expect(counts.disconnected).toBeGreaterThan(100);
}, 60000);

test('I1: a request that is tracked after the socket died, in the same tick, is in the disconnected event', async () => {
  const { server, port } = await startServer();
  const random = randomFrom(1);
  const ends = followRequests(server);
  for (let round = 0; round < 50; round += 1) {
    const id = `w${round}`;
    const peer = await openWorker(port, id);
    peer.ws.terminate();
    // The connection dies while this thread does something else; the event can't come before the end of the tick.
    block(random() * 3);
    const requestId = `request-${round}`;
    server.send(id, { type: 'work', requestId });
    expect(server.getWorkerInfo().map((worker) => worker.id)).toEqual([id]);
    server.trackRequest(id, requestId);
    ends.set(requestId, []);
    await until(() => server.getWorkerCount() === 0);
    expect([requestId, ends.get(requestId)]).toEqual([requestId, ['disconnected']]);
  }
});

test('I1: once its socket is known to be dead, a worker is neither selected nor sent to, but stays until its event', async () => {
  const { server, port } = await startServer();
  const peer = await openWorker(port, 'w');
  peer.ws.terminate();
  // No turn of the event loop from here on, so that the event cannot be delivered.
  for (let i = 0; i < 5000 && server.send('w', { type: 'work' }); i += 1) block(1);
  expect(server.send('w', { type: 'work' })).toBe(false);
  expect(server.getAvailableWorker('model')).toBeNull();
  expect(server.getAnyAvailableWorker()).toBeNull();
  expect(server.getWorkerCount()).toBe(1);
  expect(server.getWorkerInfo()[0].id).toBe('w');
  await until(() => server.getWorkerCount() === 0);
});

test('I1: within one tick nobody joins', async () => {
  const { server, port } = await startServer();
  await openWorker(port, 'first');
  const joining = openWorker(port, 'second');
  // While this thread is blocked the other's connection may be made and its registration be read, but not take effect.
  await new Promise((resolve) => setImmediate(resolve));
  const before = server.getWorkerCount();
  block(200);
  expect(server.getWorkerCount()).toBe(before);
  await joining;
  expect(server.getWorkerCount()).toBe(2);
});

test('I1: the ids that a disconnected handler gets are a Set of its own', async () => {
  const { server, port } = await startServer();
  const seen = [];
  server.onWorkerDisconnected((worker, pending) => {
    seen.push([...pending]);
    server.releaseRequest('a');
    pending.clear();
  });
  server.onWorkerDisconnected((worker, pending) => seen.push([pending.size, worker.activeRequests]));
  const peer = await openWorker(port, 'w');
  for (const id of ['a', 'b']) server.trackRequest('w', id);
  peer.ws.terminate();
  await until(() => seen.length === 2);
  expect(seen[0]).toEqual(['a', 'b']);
  expect(seen[1][1]).toBe(2);
});
