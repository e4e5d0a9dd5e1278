'use strict';

const { INFO_KEYS } = require('../support/infos.js');
const { toWorkerInfo } = require('../support/package.js');
const { makeWorker } = require('../support/standalone.js');

test('a WorkerInfo has its properties in the documented order, and not the socket', () => {
  expect(Object.keys(toWorkerInfo(makeWorker('a')))).toEqual(INFO_KEYS);
});

test('it is a plain object with the values of the worker', () => {
  const worker = makeWorker('a', { activeRequests: 2, completedRequests: 5, status: 'busy' });
  const info = toWorkerInfo(worker);
  expect(Object.getPrototypeOf(info)).toBe(Object.prototype);
  expect(info).toEqual({
    id: 'a',
    name: 'Worker a',
    status: 'busy',
    capabilities: worker.capabilities,
    sessionId: 'session of a',
    connectedAt: new Date(1000),
    lastHeartbeat: new Date(2000),
    activeRequests: 2,
    completedRequests: 5,
    pendingRequestIds: new Set(),
    categoryActiveRequests: new Map(),
  });
});

test("it shares the worker's collections, and its other fields are as of the moment", () => {
  const worker = makeWorker('a');
  const info = toWorkerInfo(worker);
  expect(info.capabilities).toBe(worker.capabilities);
  expect(info.pendingRequestIds).toBe(worker.pendingRequests);
  expect(info.categoryActiveRequests).toBe(worker.categoryActiveRequests);
  worker.pendingRequests.add('r');
  worker.activeRequests = 1;
  expect(info.pendingRequestIds.has('r')).toBe(true);
  expect(info.activeRequests).toBe(0);
});

test('it survives spread, JSON and structuredClone', () => {
  const info = toWorkerInfo(makeWorker('a', { pendingRequests: new Set(['r']) }));
  expect({ ...info }).toEqual(info);
  expect(JSON.parse(JSON.stringify(info))).toMatchObject({ id: 'a', connectedAt: '1970-01-01T00:00:01.000Z' });
  const clone = structuredClone(info);
  expect([...clone.pendingRequestIds]).toEqual(['r']);
  expect(clone.capabilities).toEqual(info.capabilities);
});

test('an instance of a class becomes a plain object', () => {
  class Worker {
    constructor(fields) {
      Object.assign(this, fields);
    }
  }
  expect(toWorkerInfo(new Worker(makeWorker('a')))).toEqual(toWorkerInfo(makeWorker('a')));
});
