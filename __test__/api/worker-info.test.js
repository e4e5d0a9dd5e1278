'use strict';

// WorkerInfo: a plain object that holds the worker's own collections.

const { inspect, types } = require('node:util');
const { INFO_KEYS } = require('../support/infos.js');
const { nextCall, startServer, until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');

/** Every way by which a WorkerInfo is handed out. */
async function everyInfo() {
  const { server } = await startServer();
  const connected = nextCall((handler) => server.onWorkerConnected(handler));
  const worker = await connectWorker(server, 'w', { authToken: 'in the message, not in the info' });
  const message = await worker.sync();
  server.trackRequest('w', 'r1', 'chat');
  const infos = {
    'the connected handler': (await connected)[0],
    'a message handler': message,
    getAvailableWorker: server.getAvailableWorker('model-a'),
    getAnyAvailableWorker: server.getAnyAvailableWorker(),
    getWorkerInfo: server.getWorkerInfo()[0],
  };
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close();
  [infos['the disconnected handler']] = await left;
  return infos;
}

test('wherever it comes from, it is a plain object with these keys in this order', async () => {
  for (const [from, info] of Object.entries(await everyInfo())) {
    expect([from, Object.keys(info)]).toEqual([from, INFO_KEYS]);
    expect(Reflect.ownKeys(info)).toEqual(INFO_KEYS);
    expect(Object.getPrototypeOf(info)).toBe(Object.prototype);
    for (const key of INFO_KEYS) {
      const descriptor = Object.getOwnPropertyDescriptor(info, key);
      expect(descriptor).toHaveProperty('value');
      expect(descriptor.enumerable).toBe(true);
    }
    expect(info.connectedAt).toBeInstanceOf(Date);
    expect(info.lastHeartbeat).toBeInstanceOf(Date);
    expect(info.pendingRequestIds).toBeInstanceOf(Set);
    expect(info.categoryActiveRequests).toBeInstanceOf(Map);
    expect(types.isProxy(info)).toBe(false);
  }
});

test('collections and capabilities are the same objects in each, and follow what is tracked', async () => {
  const infos = Object.values(await everyInfo());
  for (const info of infos) {
    expect(info.pendingRequestIds).toBe(infos[0].pendingRequestIds);
    expect(info.categoryActiveRequests).toBe(infos[0].categoryActiveRequests);
    expect(info.capabilities).toBe(infos[0].capabilities);
  }
});

test('it survives spread, JSON, structuredClone, toEqual and inspect', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w');
  server.trackRequest('w', 'r1', 'chat');
  const [info] = server.getWorkerInfo();
  const plain = {
    id: 'w',
    name: 'Worker w',
    status: 'available',
    capabilities: capabilitiesOf(),
    sessionId: info.sessionId,
    connectedAt: new Date(info.connectedAt.getTime()),
    lastHeartbeat: new Date(info.lastHeartbeat.getTime()),
    activeRequests: 1,
    completedRequests: 0,
    pendingRequestIds: new Set(['r1']),
    categoryActiveRequests: new Map([['chat', 1]]),
  };
  expect(info).toEqual(plain);
  expect(info).toStrictEqual(plain);
  expect({ ...info }).toStrictEqual(plain);
  expect(JSON.stringify(info)).toBe(JSON.stringify(plain));
  expect(inspect(structuredClone(info))).toBe(inspect(plain));
  expect(inspect(info)).toBe(inspect(plain));
});

test('collections follow later calls, the other fields are as of the moment', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  const [before] = server.getWorkerInfo();
  server.trackRequest('w', 'r1', 'chat');
  server.trackRequest('w', 'r2');
  server.releaseRequest('r2', { incrementCompleted: true });
  await worker.heartbeat();
  expect([...before.pendingRequestIds]).toEqual(['r1']);
  expect([...before.categoryActiveRequests]).toEqual([['chat', 1]]);
  expect(before).toMatchObject({ status: 'available', activeRequests: 0, completedRequests: 0 });
  const [after] = server.getWorkerInfo();
  expect(after).toMatchObject({ activeRequests: 1, completedRequests: 1 });
  expect(after.pendingRequestIds).toBe(before.pendingRequestIds);
});

test('an info that a handler kept is as of its moment', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  const kept = await worker.sync();
  server.trackRequest('w', 'r1');
  expect(kept).toMatchObject({ status: 'available', activeRequests: 0 });
  expect(await worker.sync()).toMatchObject({ status: 'busy', activeRequests: 1 });
  expect(kept).toMatchObject({ status: 'available', activeRequests: 0 });
});

test('what the caller writes on an info does not reach the server', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  for (const info of [server.getWorkerInfo()[0], server.getAvailableWorker('model-a')]) {
    info.status = 'busy';
    info.activeRequests = 99;
    info.id = 'other';
  }
  expect(server.getWorkerInfo()[0]).toMatchObject({ id: 'w', status: 'available', activeRequests: 0 });
  expect(await worker.sync()).toMatchObject({ id: 'w', status: 'available' });
});

test('capabilities carry everything that the worker sent', async () => {
  const { server } = await startServer();
  const capabilities = {
    gpu: { name: 'H100', memory: [80, 80] },
    models: [{ modelId: 'm', quantization: 'q4', nested: { deep: [null, true, 1e21] } }],
    maxConcurrentRequests: 3,
    concurrencyLimits: { chat: 1.5 },
    metadata: { region: 'eu', __proto__x: 1 },
    '\ud800': 'lone',
  };
  await connectWorker(server, 'w', { capabilities });
  const [info] = server.getWorkerInfo();
  expect(info.capabilities).toEqual(capabilities);
  expect(JSON.stringify(info.capabilities)).toBe(JSON.stringify(capabilities));
});

test('the disconnected handlers get the pending ids as a Set of their own', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server, 'w');
  server.trackRequest('w', 'r1');
  server.trackRequest('w', 'r2');
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close();
  const [info, pending] = await left;
  expect(pending).toBeInstanceOf(Set);
  expect(pending).toEqual(new Set(['r1', 'r2']));
  expect(pending).not.toBe(info.pendingRequestIds);
  expect(info.pendingRequestIds).toEqual(new Set(['r1', 'r2']));
  expect(info.activeRequests).toBe(2);
});

test('it never holds the socket', async () => {
  for (const info of Object.values(await everyInfo())) {
    expect(inspect(info, { depth: 10, showHidden: true })).not.toMatch(/socket/i);
  }
});

test('what is written into an info that was asked for changes nothing in the next one', async () => {
  const { server } = await startServer();
  await connectWorker(server);
  const info = server.getWorkerInfo()[0];
  const before = { ...info };
  info.status = 'broken';
  info.name = 'other';
  expect(server.getWorkerInfo()[0]).toEqual(before);
});

test('the messages of a worker come with the same info until something in it changes', async () => {
  const { server } = await startServer();
  const worker = await connectWorker(server);
  const infos = [];
  server.onWorkerMessage('x', (info) => infos.push(info));
  for (let i = 0; i < 2; i += 1) {
    worker.ws.send('{"type":"x"}');
    await until(() => infos.length === i + 1);
  }
  expect(infos[1]).toBe(infos[0]);
  server.trackRequest('w1', 'r');
  worker.ws.send('{"type":"x"}');
  await until(() => infos.length === 3);
  expect(infos.map((info) => info.activeRequests)).toEqual([0, 0, 1]);
});
