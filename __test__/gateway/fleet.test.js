'use strict';

// Many streams at once over workers in processes of their own, some of which are killed meanwhile.

const { openStream, startGateway } = require('./support/gateway.js');
const { startProgram } = require('../support/program.js');
const { until } = require('../support/server.js');

const STREAMS = 200;
const TOKENS = 40;
const SLOTS = 60;
/** Where those workers get stuck that are killed. */
const STUCK_AT = 5;

/** The events of a stream: each as `{ name, data }`. */
async function eventsOf(opened) {
  let text = '';
  for await (const data of await opened) text += data;
  return text
    .split('\n\n')
    .filter((block) => block !== '' && block !== ': ping')
    .map((block) => {
      const [, name, data] = /^(?:event: (.*)\n)?data: (.*)$/.exec(block);
      return { name, data: data === '[DONE]' ? data : JSON.parse(data) };
    });
}

test('200 streams at once, whose workers are killed: each comes whole, or says where it broke off', async () => {
  const lost = { limits: { resumeGraceMs: 100 }, queue: { maxSize: STREAMS } };
  const { server, port } = await startGateway({ options: () => ({ maxAttempts: 10 }) }, lost);
  const workers = new Map();
  const startWorker = (id, ...more) => {
    const args = [`ws://127.0.0.1:${port}`, id, String(SLOTS), ...more];
    workers.set(id, startProgram('gateway/programs/streaming-worker.js', ...args));
  };
  for (const id of ['a', 'b']) startWorker(id, String(STUCK_AT));
  for (const id of ['c', 'd']) startWorker(id);
  await until(() => server.getWorkerCount() === 4);

  let text = '';
  const streams = Array.from({ length: STREAMS }, async (_, i) => {
    const opened = openStream(port, { user: `u${i}`, tokens: TOKENS });
    (await opened).on('data', (data) => {
      text += data;
    });
    return eventsOf(opened);
  });
  // Some of the streams of each have begun then, and others perhaps not.
  for (const id of ['a', 'b']) {
    await until(() => text.includes(`"i":${STUCK_AT - 1},"workerId":"${id}"`));
    workers.get(id).child.kill('SIGKILL');
    startWorker(`${id}2`);
  }

  let broken = 0;
  for (const [i, events] of (await Promise.all(streams)).entries()) {
    const last = events.pop();
    const { workerId } = events[0].data;
    expect(events).toEqual(events.map((_, n) => ({ name: undefined, data: { user: `u${i}`, i: n, workerId } })));
    if (last.data === '[DONE]') {
      expect(events).toHaveLength(TOKENS);
    } else {
      broken += 1;
      expect(last.name).toBe('error');
      expect(last.data.error.code).toBe('worker_lost');
      expect(['a', 'b']).toContain(workerId);
    }
  }
  // What had not begun on those that were killed has gone elsewhere.
  expect(broken).toBeGreaterThan(0);
  expect(broken).toBeLessThanOrEqual(2 * SLOTS);
  expect(server.getQueueInfo().size).toBe(0);
  await until(() => server.getWorkerInfo().every(({ activeRequests }) => activeRequests === 0));
}, 120_000);
