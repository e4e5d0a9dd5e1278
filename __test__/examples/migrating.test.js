'use strict';

// docs/MIGRATING.md shows a dispatcher and what takes its place: both do their work, with the same workers.

const { onCleanup } = require('../support/cleanup.js');
const { readDocument } = require('../support/doc-examples.js');
const { startServer, until } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const workerServer = require('../support/package.js');

const AsyncFunction = (async () => {}).constructor;
const [before, after] = [...readDocument('docs/MIGRATING.md').matchAll(/```js run\n(.*?)```/gs)].map(
  ([, code]) => code,
);

/** Each with a function that starts it, and resolves with its server and its function `ask`. */
const programs = {
  async before() {
    const { server } = await startServer();
    return new AsyncFunction('require', 'server', `${before}; return { server, ask };`)(require, server);
  },
  async after() {
    const requireFrom = (name) => (name === '@hardlydifficult/worker-server' ? workerServer : require(name));
    const started = await new AsyncFunction('require', `${after}; return { server, ask };`)(requireFrom);
    onCleanup(() => started.server.stop());
    return started;
  },
};

/** A worker of 1.0.12, which is sent `work_request`. */
const connectOldWorker = (server) => connectWorker(server, 'w', { capabilities: capabilitiesOf(['llama-3-8b'], 2) });

describe.each(Object.keys(programs))('the dispatcher %s', (name) => {
  test('gets an answer, and the slot is free again', async () => {
    const { server, ask } = await programs[name]();
    const worker = await connectOldWorker(server);
    const answer = ask('Hello');
    const { requestId, prompt } = await worker.next('work_request');
    expect(server.getAvailableSlotCount('llama-3-8b')).toBe(1);
    worker.send({ type: 'work_complete', requestId, text: prompt.toUpperCase() });
    expect(await answer).toEqual({ type: 'work_complete', requestId, text: 'HELLO' });
    expect(server.getWorkerInfo()[0]).toMatchObject({ activeRequests: 0, completedRequests: 1 });
  });

  test('hears of an error, and of a worker that is lost', async () => {
    const { server, ask } = await programs[name]();
    const worker = await connectOldWorker(server);
    const failing = ask('Hello');
    const { requestId } = await worker.next('work_request');
    worker.send({ type: 'work_failed', requestId, error: 'out of memory' });
    await expect(failing).rejects.toThrow('out of memory');
    const lost = ask('Hello');
    await worker.next('work_request');
    worker.ws.terminate();
    await expect(lost).rejects.toThrow('The worker was lost');
  });
});

test('only the one after has requests wait for a worker', async () => {
  const old = await programs.before();
  await expect(old.ask('Hello')).rejects.toThrow('All workers are busy');
  const { server, ask } = await programs.after();
  const answer = ask('Hello');
  await until(() => server.getQueueInfo().size === 1);
  const worker = await connectOldWorker(server);
  const { requestId } = await worker.next('work_request');
  worker.send({ type: 'work_complete', requestId, text: 'Hi' });
  expect(await answer).toMatchObject({ text: 'Hi' });
});
