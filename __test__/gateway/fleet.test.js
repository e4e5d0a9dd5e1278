'use strict';

// Many streams at once over workers in processes of their own, some of which are killed meanwhile.

const { openStream, startGateway } = require('./support/gateway.js');
const { startProgram } = require('../support/program.js');
const { until } = require('../support/server.js');

const STREAMS = 200;
const TOKENS = 40;
const SLOTS = 60;

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
  const startWorker = (id) =>
    workers.set(id, startProgram('gateway/programs/streaming-worker.js', `ws://127.0.0.1:${port}`, id, String(SLOTS)));
  for (const id of ['a', 'b', 'c', 'd']) startWorker(id);
  await until(() => server.getWorkerCount() === 4);

  let tokens = 0;
  const streams = Array.from({ length: STREAMS }, async (_, i) => {
    const opened = openStream(port, { user: `u${i}`, tokens: TOKENS });
    (await opened).on('data', (data) => {
      tokens += String(data).split('data: ').length - 1;
    });
    return eventsOf(opened);
  });
  for (const [id, after] of [
    ['a', 500],
    ['b', 2_000],
  ]) {
    await until(() => tokens > after);
    workers.get(id).child.kill('SIGKILL');
    startWorker(`${id}2`);
  }

  let broken = 0;
  for (const [i, events] of (await Promise.all(streams)).entries()) {
    const last = events.pop();
    expect(events).toEqual(events.map((_, n) => ({ name: undefined, data: { user: `u${i}`, i: n } })));
    if (last.data === '[DONE]') {
      expect(events).toHaveLength(TOKENS);
    } else {
      broken += 1;
      expect(last.name).toBe('error');
      expect(last.data.error.code).toBe('worker_lost');
      expect(events.length).toBeGreaterThan(0);
    }
  }
  // Those of the two that were killed, at the most; what had not begun there has gone elsewhere.
  expect(broken).toBeGreaterThan(0);
  expect(broken).toBeLessThanOrEqual(2 * SLOTS);
  expect(server.getQueueInfo().size).toBe(0);
  await until(() => server.getWorkerInfo().every(({ activeRequests }) => activeRequests === 0));
}, 120_000);
