'use strict';

// Labels are bounded, whatever peers and callers say.

const { startServer, until } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { capabilitiesOf, connect, connectWorker } = require('../support/worker.js');
const { nonzero, samplesOf, valueOf } = require('./support/metrics.js');

/** The values of the label `model` of a metric, as they stand there. */
function modelsOf(server, name) {
  const found = [];
  for (const series of samplesOf(server.metrics()).keys()) {
    const [, model] = new RegExp(`^${name}\\{model="((?:[^"\\\\]|\\\\.)*)"`, 's').exec(series) ?? [];
    if (model !== undefined && !found.includes(model)) found.push(model);
  }
  return found;
}

const ask = (server, model) => rejection(server.request({}, { model, signal: AbortSignal.abort() }));

test('a model is a label only if a worker has registered it', async () => {
  const { server } = await startServer();
  await ask(server, 'asked-for');
  await ask(server, undefined);
  expect(modelsOf(server, 'requests_total')).toEqual(['any', 'other']);
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['asked-for'], 1) });
  await ask(server, 'asked-for');
  expect(nonzero(server, 'requests_total')).toEqual({
    'model="any",outcome="cancelled"': 1,
    'model="other",outcome="cancelled"': 1,
    'model="asked-for",outcome="cancelled"': 1,
  });
});

test('a model stays a label when its workers have left, and over a restart', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['m'], 1) });
  await server.stop();
  await ask(server, 'm');
  await server.start();
  expect(modelsOf(server, 'worker_slots')).toEqual(['any', 'm']);
});

test('however many models workers register, the first fifty are labels, and the rest are other, once for each worker', async () => {
  const { server } = await startServer();
  const models = Array.from({ length: 40_000 }, (_, n) => ({ modelId: `model-${n}` }));
  const part = (n) => ({ models: models.slice(n * 4_000, (n + 1) * 4_000), maxConcurrentRequests: 3 });
  const worker = await connectWorker(server, 'w', { capabilities: part(0) });
  for (let n = 1; n < 10; n += 1) await worker.register('w', { capabilities: part(n) });
  const labels = modelsOf(server, 'worker_slots');
  expect(labels).toEqual(['any', 'other', ...models.slice(0, 50).map(({ modelId }) => modelId)]);
  expect(valueOf(server, 'worker_slots{model="other"}')).toBe(3);
  for (let n = 0; n < 2_000; n += 1) await ask(server, `model-${39_999 - n}`);
  expect(nonzero(server, 'requests_total')).toEqual({ 'model="other",outcome="cancelled"': 2_000 });
  expect(server.metrics().length).toBeLessThan(200_000);
});

test.each([
  ['quotes and backslashes', 'a"b\\c', 'a\\"b\\\\c'],
  ['newlines', 'a\nb\r\nc', 'a\\nb\r\\nc'],
  ['right-to-left marks and emoji', 'a\u202eb\u200f😀', 'a\u202eb\u200f😀'],
  ['a NUL', 'a\0b', 'a\0b'],
  ['braces and an equals sign', '{model="x"} 1', '{model=\\"x\\"} 1'],
  ['nothing at all', '', ''],
])('a name with %s is one label', async (_, model, label) => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf([model], 1) });
  await ask(server, model);
  expect(modelsOf(server, 'worker_slots')).toEqual(['any', label]);
  expect(nonzero(server, 'requests_total')).toEqual({ [`model="${label}",outcome="cancelled"`]: 1 });
});

test('a name is cut at 128 bytes, between characters', async () => {
  const { server } = await startServer();
  const long = `${'x'.repeat(127)}é`;
  await connectWorker(server, 'w', { capabilities: capabilitiesOf([`${long}-1`, `${long}-2`, 'y'.repeat(5_000)], 2) });
  await ask(server, `${long}-2`);
  expect(modelsOf(server, 'worker_slots')).toEqual(['any', 'x'.repeat(127), 'y'.repeat(128)]);
  expect(valueOf(server, `worker_slots{model="${'x'.repeat(127)}"}`)).toBe(2);
  expect(valueOf(server, `requests_total{model="${'x'.repeat(127)}",outcome="cancelled"}`)).toBe(1);
});

test('models that are called any and other share the labels of these names', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['any', 'other'], 2) });
  expect(nonzero(server, 'worker_slots')).toEqual({ 'model="any"': 2, 'model="other"': 2 });
});

test('a name with half a surrogate pair is other, also beside one that looks like it', async () => {
  const { server } = await startServer();
  await connectWorker(server, 'w', { capabilities: capabilitiesOf(['a\ufffd'], 2) });
  await ask(server, 'a\ud800');
  expect(nonzero(server, 'requests_total')).toEqual({ 'model="other",outcome="cancelled"': 1 });
});

test('a million close codes are those that are known, and other', async () => {
  const { server } = await startServer();
  const codes = [1000, 1001, 3000, 3999, 4000, 4001, 4242, 4999, 1012];
  for (const code of codes) {
    const client = await connect(server);
    client.ws.close(code);
    await client.closed;
  }
  await until(() => valueOf(server, 'connections') === 0);
  expect(nonzero(server, 'disconnects_total')).toEqual({
    'code="1000"': 1,
    'code="1001"': 1,
    'code="4001"': 1,
    'code="other"': 6,
  });
});

test('slots of any size are numbers that Prometheus reads', async () => {
  const { server } = await startServer();
  const largest = { models: [{ modelId: 'm' }], maxConcurrentRequests: Number.MAX_VALUE };
  await connectWorker(server, 'a', { capabilities: largest });
  await connectWorker(server, 'b', { capabilities: largest });
  expect(server.metrics()).toMatch(/^worker_server_worker_slots\{model="m"\} \+Inf$/m);
  await connectRequestWorker(server, 'c', { models: ['n'], slots: 0.5 });
  expect(valueOf(server, 'worker_slots{model="n"}')).toBe(0.5);
});
