'use strict';

// Requests that are tracked and released.

const { nextCall, startServer } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');

async function withWorker(max = 2, limits) {
  const { server, log } = await startServer();
  const capabilities = capabilitiesOf(['m'], max, { concurrencyLimits: limits });
  const worker = await connectWorker(server, 'w', { capabilities });
  const state = () => {
    const [info] = server.getWorkerInfo();
    return [info.status, info.activeRequests, info.completedRequests, [...info.pendingRequestIds]];
  };
  return { server, log, worker, state };
}

test('tracking on an unknown worker does nothing', async () => {
  const { server, state } = await withWorker();
  expect(server.trackRequest('nobody', 'r1')).toBeUndefined();
  server.releaseRequest('r1', { incrementCompleted: true });
  expect(state()).toEqual(['available', 0, 0, []]);
});

test('releasing an unknown request does nothing', async () => {
  const { server, state } = await withWorker();
  server.trackRequest('w', 'r1');
  expect(server.releaseRequest('other', { incrementCompleted: true })).toBeUndefined();
  expect(state()).toEqual(['available', 1, 0, ['r1']]);
});

test('tracking and releasing before start and after stop does nothing', async () => {
  const { server } = await withWorker();
  await server.stop();
  server.trackRequest('w', 'r1');
  server.releaseRequest('r1');
  expect(server.getWorkerInfo()).toEqual([]);
});

test('at capacity a worker is busy, below it is available again', async () => {
  const { server, state } = await withWorker(2);
  server.trackRequest('w', 'r1');
  expect(state()).toEqual(['available', 1, 0, ['r1']]);
  server.trackRequest('w', 'r2');
  expect(state()).toEqual(['busy', 2, 0, ['r1', 'r2']]);
  server.releaseRequest('r1');
  expect(state()).toEqual(['available', 1, 0, ['r2']]);
});

test('beyond its capacity a worker stays busy until it is below', async () => {
  const { server, state } = await withWorker(1);
  for (const id of ['r1', 'r2', 'r3']) server.trackRequest('w', id);
  expect(state()).toEqual(['busy', 3, 0, ['r1', 'r2', 'r3']]);
  server.releaseRequest('r1');
  server.releaseRequest('r2');
  expect(state()).toEqual(['busy', 1, 0, ['r3']]);
  server.releaseRequest('r3');
  expect(state()).toEqual(['available', 0, 0, []]);
});

test('a worker without slots is busy with its first request and stays so', async () => {
  const { server, state } = await withWorker(0);
  server.trackRequest('w', 'r1');
  expect(state()).toEqual(['busy', 1, 0, ['r1']]);
  server.releaseRequest('r1');
  expect(state()).toEqual(['busy', 0, 0, []]);
});

test.each([
  ['no options', undefined, 0],
  ['empty options', {}, 0],
  ['false', { incrementCompleted: false }, 0],
  ['true', { incrementCompleted: true }, 1],
])('completed with %s', async (_, options, completed) => {
  const { server, state } = await withWorker();
  server.trackRequest('w', 'r1');
  server.releaseRequest('r1', options);
  expect(state()).toEqual(['available', 0, completed, []]);
});

test('a request is released once', async () => {
  const { server, state } = await withWorker();
  server.trackRequest('w', 'r1');
  server.trackRequest('w', 'r2');
  server.releaseRequest('r1', { incrementCompleted: true });
  server.releaseRequest('r1', { incrementCompleted: true });
  expect(state()).toEqual(['available', 1, 1, ['r2']]);
});

test('an id that is tracked twice is in the set once and counts twice', async () => {
  const { server, state } = await withWorker(3);
  server.trackRequest('w', 'r1');
  server.trackRequest('w', 'r1');
  expect(state()).toEqual(['available', 2, 0, ['r1']]);
  server.releaseRequest('r1');
  expect(state()).toEqual(['available', 1, 0, []]);
  server.releaseRequest('r1');
  expect(state()).toEqual(['available', 1, 0, []]);
});

test('an id that is tracked twice under one category is counted twice and released once', async () => {
  const { server } = await withWorker(5, { chat: 2 });
  server.trackRequest('w', 'r1', 'chat');
  server.trackRequest('w', 'r1', 'chat');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([['chat', 2]]);
  expect(server.getAvailableWorker('m', 'chat')).toBeNull();
  server.releaseRequest('r1');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([['chat', 1]]);
  expect(server.getAvailableWorker('m', 'chat').id).toBe('w');
});

test('an id that is tracked under two categories is released from the last', async () => {
  const { server } = await withWorker(5);
  server.trackRequest('w', 'r1', 'a');
  server.trackRequest('w', 'r1', 'b');
  server.releaseRequest('r1');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([
    ['a', 1],
    ['b', 0],
  ]);
});

test('a category stays in the map at 0', async () => {
  const { server } = await withWorker();
  server.trackRequest('w', 'r1', 'chat');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([['chat', 1]]);
  server.releaseRequest('r1');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([['chat', 0]]);
});

test('a request without a category touches no category', async () => {
  const { server } = await withWorker();
  server.trackRequest('w', 'r1');
  server.releaseRequest('r1');
  expect(server.getWorkerInfo()[0].categoryActiveRequests.size).toBe(0);
});

test('an id that two workers hold is released from the earliest registered, then from the other', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'a');
  await connectWorker(server, 'b');
  server.trackRequest('b', 'r1');
  server.trackRequest('a', 'r1');
  const counts = () => server.getWorkerInfo().map(({ id, activeRequests }) => [id, activeRequests]);
  server.releaseRequest('r1');
  expect(counts()).toEqual([
    ['a', 0],
    ['b', 1],
  ]);
  server.releaseRequest('r1');
  expect(counts()).toEqual([
    ['a', 0],
    ['b', 0],
  ]);
});

test.each(['', '__proto__', 'a'.repeat(100_000), '\ud800', '😀'])('any string is a request id (%.10p)', async (id) => {
  const { server, state } = await withWorker();
  server.trackRequest('w', id);
  expect(state()).toEqual(['available', 1, 0, [id]]);
  server.releaseRequest(id, { incrementCompleted: true });
  expect(state()).toEqual(['available', 0, 1, []]);
});

test('two ids that differ only in a lone surrogate are two requests', async () => {
  const { server, state } = await withWorker(5);
  server.trackRequest('w', 'r\ud800');
  server.trackRequest('w', 'r\udc00');
  server.releaseRequest('r\ud800');
  expect(state()).toEqual(['available', 1, 0, ['r\udc00']]);
  server.releaseRequest('r\udc00');
  expect(state()).toEqual(['available', 0, 0, []]);
});

test('the requests of a worker that leaves are in its disconnected event and gone afterwards', async () => {
  const { server, worker } = await withWorker();
  server.trackRequest('w', 'r1', 'chat');
  server.trackRequest('w', 'r2');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.die();
  const [info, pending] = await left;
  expect([...pending]).toEqual(['r1', 'r2']);
  expect(info).toMatchObject({ id: 'w', status: 'busy', activeRequests: 2 });
  server.releaseRequest('r1', { incrementCompleted: true });
  const again = await connectWorker(server, 'w');
  expect(again.ack.success).toBe(true);
  expect(server.getWorkerInfo()[0]).toMatchObject({ activeRequests: 0, completedRequests: 0 });
});

test('a worker without pending requests has its disconnected event with an empty set', async () => {
  const { server, worker } = await withWorker();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close();
  const [info, pending] = await left;
  expect(info.id).toBe('w');
  expect(pending).toEqual(new Set());
});

test('inside the disconnected handler the worker is gone from every query', async () => {
  const { server, worker } = await withWorker();
  const seen = new Promise((resolve) => {
    server.onWorkerDisconnected(() => {
      resolve([
        server.getWorkerCount(),
        server.getAvailableWorkerCount(),
        server.getAvailableWorker('m'),
        server.getAnyAvailableWorker(),
        server.getAvailableSlotCount('m'),
        server.getWorkerInfo(),
        server.send('w', { type: 'x' }),
      ]);
    });
  });
  await worker.close();
  expect(await seen).toEqual([0, 0, null, null, 0, [], false]);
});

test('a request that is moved in the disconnected handler runs on the other worker', async () => {
  const { server, worker } = await withWorker();
  const other = await connectWorker(server, 'other', { capabilities: capabilitiesOf(['m'], 5) });
  server.trackRequest('w', 'r1');
  server.onWorkerDisconnected((info, pending) => {
    for (const requestId of pending) {
      const next = server.getAvailableWorker('m');
      server.send(next.id, { type: 'work', requestId });
      server.trackRequest(next.id, requestId);
    }
  });
  await worker.die();
  expect((await other.next('work')).requestId).toBe('r1');
  expect(server.getWorkerInfo()[0]).toMatchObject({ id: 'other', activeRequests: 1 });
});

test('thousands of requests can begin and end in one turn', async () => {
  const { server, state } = await withWorker(5000);
  const ids = Array.from({ length: 4000 }, (_, index) => `r${index}`);
  for (const id of ids) server.trackRequest('w', id);
  expect(server.getAvailableSlotCount('m')).toBe(1000);
  for (const id of ids) server.releaseRequest(id, { incrementCompleted: true });
  expect(server.getAvailableSlotCount('m')).toBe(5000);
  expect(state()).toEqual(['available', 0, 4000, []]);
});

test('categories are counted apart, whatever their order, and also those that have no limit', async () => {
  const { server } = await withWorker(9, { zebra: 1, 7: 2, ape: 3 });
  const free = () => ['zebra', '7', 'ape', 'unlimited'].map((category) => server.getAvailableSlotCount('m', category));
  server.trackRequest('w', 'r1', '7');
  expect(free()).toEqual([1, 1, 3, 8]);
  server.trackRequest('w', 'r2', 'zebra');
  expect(free()).toEqual([0, 1, 3, 7]);
  server.trackRequest('w', 'r3', 'unlimited');
  expect(free()).toEqual([0, 1, 3, 6]);
  server.releaseRequest('r2');
  expect(free()).toEqual([1, 1, 3, 7]);
});

test('what the application does to the set of pending requests does not keep them from being released', async () => {
  const { server, state } = await withWorker(5);
  server.trackRequest('w', 'r1');
  server.getWorkerInfo()[0].pendingRequestIds.clear();
  server.releaseRequest('r1', { incrementCompleted: true });
  expect(state()).toEqual(['available', 0, 1, []]);
});

test('an id that the application took out of the set of a worker that left can be tracked on others', async () => {
  const { server } = await startServer();
  const [first, second] = [await connectWorker(server, 'first'), await connectWorker(server, 'second')];
  await connectWorker(server, 'third');
  const leave = async (worker) => {
    const left = nextCall((handler) => server.onWorkerDisconnected(handler));
    await worker.die();
    await left;
  };
  const active = () => server.getWorkerInfo().map(({ activeRequests }) => activeRequests);
  server.trackRequest('first', 'r1');
  server.getWorkerInfo()[0].pendingRequestIds.delete('r1');
  await leave(first);
  server.trackRequest('second', 'r1');
  server.trackRequest('third', 'r1');
  expect(active()).toEqual([1, 1]);
  server.getWorkerInfo()[0].pendingRequestIds.delete('r1');
  await leave(second);
  server.releaseRequest('r1');
  expect(active()).toEqual([0]);
});

test('of three workers that hold an id the one that leaves takes only its own', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'a');
  const b = await connectWorker(server, 'b');
  await connectWorker(server, 'c');
  for (const id of ['c', 'b', 'a']) server.trackRequest(id, 'r1');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await b.die();
  expect([...(await left)[1]]).toEqual(['r1']);
  const active = () => server.getWorkerInfo().map(({ activeRequests }) => activeRequests);
  server.releaseRequest('r1');
  expect(active()).toEqual([0, 1]);
  server.releaseRequest('r1');
  expect(active()).toEqual([0, 0]);
});
