'use strict';

// Limits of categories across a worker_update, while requests wait for a slot.

const { startServer } = require('../support/server.js');
const { capabilitiesOf } = require('../support/worker.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

/** A server and a worker of eight slots with these limits. `ask` notes which requests were sent, in order, in `started`. */
async function limited(limits) {
  const { server } = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 8, limits });
  const started = [];
  const ask = (requestId, category, options = {}) => {
    const answer = server.request({}, { requestId, category, onStarted: () => started.push(requestId), ...options });
    answer.catch(() => {});
    return answer;
  };
  /** The worker's limits are these from now on; with `undefined` it has none. */
  const update = async (concurrencyLimits) => {
    const more = concurrencyLimits === undefined ? {} : { concurrencyLimits };
    worker.send({ type: 'worker_update', capabilities: capabilitiesOf(['m'], 8, more) });
    expect(await worker.next('worker_update_ack')).toEqual({ type: 'worker_update_ack', success: true });
  };
  const finish = async () => {
    worker.answer(await worker.nextRequest(), 'result');
    await worker.sync();
  };
  const load = () => Object.fromEntries(server.getWorkerInfo()[0].categoryActiveRequests);
  return { server, worker, ask, update, finish, load, started };
}

test('a higher limit gives its new slots to those that wait, before onWorkerUpdated runs', async () => {
  const { server, ask, update, load, started } = await limited({ chat: 1 });
  server.onWorkerUpdated((_worker, change) => started.push(change));
  for (const id of ['c1', 'c2', 'c3', 'c4']) ask(id, 'chat');
  expect(started).toEqual(['c1']);
  await update({ chat: 3 });
  expect(started).toEqual(['c1', 'c2', 'c3', 'capabilities']);
  expect(load()).toEqual({ chat: 3 });
  expect(server.getQueueInfo().size).toBe(1);
});

test('a limit below what runs cancels nothing: those that wait get a slot when enough has ended', async () => {
  const { worker, ask, update, finish, load, started } = await limited({ chat: 2 });
  for (const id of ['c1', 'c2', 'c3']) ask(id, 'chat');
  await update({ chat: 1 });
  expect(load()).toEqual({ chat: 2 });
  ask('e1', 'embed');
  expect(started).toEqual(['c1', 'c2', 'e1']);
  await finish();
  expect([started.at(-1), load().chat]).toEqual(['e1', 1]);
  await finish();
  expect([started.at(-1), load().chat]).toEqual(['c3', 1]);
  expect(worker.frames.some((text) => text.includes('request_cancel'))).toBe(false);
});

test.each([
  ['limits', undefined],
  ['a limit for the category', { embed: 1 }],
])('an update without %s lets all that wait for the category go', async (_, concurrencyLimits) => {
  const { server, ask, update, started } = await limited({ chat: 1 });
  for (const id of ['c1', 'c2', 'c3']) ask(id, 'chat');
  await update(concurrencyLimits);
  expect(started).toEqual(['c1', 'c2', 'c3']);
  expect(server.getQueueInfo().size).toBe(0);
});

test('a limit for a category that had none counts what runs already', async () => {
  const { ask, update, finish, load, started } = await limited(undefined);
  for (const id of ['c1', 'c2']) ask(id, 'chat');
  await update({ chat: 2 });
  ask('c3', 'chat');
  expect([started, load()]).toEqual([['c1', 'c2'], { chat: 2 }]);
  await finish();
  expect([started, load()]).toEqual([['c1', 'c2', 'c3'], { chat: 2 }]);
});

test('who waits for one category keeps its place while the limit of another changes', async () => {
  const { ask, update, started } = await limited({ chat: 1, embed: 1 });
  for (const id of ['c1', 'e1']) ask(id, id.startsWith('c') ? 'chat' : 'embed');
  ask('c2', 'chat');
  ask('e2', 'embed');
  ask('high', 'chat', { priority: 'high' });
  await update({ chat: 1, embed: 2 });
  expect(started).toEqual(['c1', 'e1', 'e2']);
  await update({ chat: 2, embed: 2 });
  expect(started).toEqual(['c1', 'e1', 'e2', 'high']);
  await update({ chat: 3, embed: 2 });
  expect(started).toEqual(['c1', 'e1', 'e2', 'high', 'c2']);
});

test('with a limit of 0 no worker could ever take what waits for the category', async () => {
  const { ask, update } = await limited({ chat: 1 });
  ask('c1', 'chat');
  const waits = rejection(ask('c2', 'chat', { queueTimeoutMs: 300 }));
  await update({ chat: 0 });
  expect(await waits).toMatchObject({ code: 'NO_WORKER', attempts: 0 });
});
