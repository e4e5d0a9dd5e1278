'use strict';

// docs/SERVER.md: its examples run, and it has every member, option and limit of the server.

const { examplesIn, readDocument, runExample, startedServer } = require('../support/doc-examples.js');
const workerServer = require('../support/package.js');

const guide = readDocument('docs/SERVER.md');
const examples = examplesIn('docs/SERVER.md');

test('the guide to the server has examples that are run', () => {
  expect(examples.length).toBeGreaterThanOrEqual(12);
});

test.each(examples)('the example that begins with «%s» runs', async (_, code) => {
  await runExample(code, await startedServer());
});

test('the example of explain prints what the guide says', async () => {
  const [, code] = examples.find(([line]) => line.includes('getQueueInfo'));
  const [, said] = /explain.* \/\/ (.*)\n/.exec(code);
  expect(await runExample(code, await startedServer())).toEqual([said]);
});

test('the slots that the guide promises are the ones that there are', async () => {
  const server = await startedServer();
  expect([server.getAvailableSlotCount('llama-3'), server.getAvailableSlotCount('llama-3', 'chat')]).toEqual([4, 2]);
});

test('the guide names every export and every member of the server', () => {
  const { prototype } = require('../../index.js').WorkerServer;
  const members = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor');
  for (const name of [...Object.keys(workerServer), ...members]) expect(guide).toContain(name);
});

test('the guide names every option of the server, and every limit with its default', () => {
  const { readOptions } = require('../../lib/server/options.js');
  const { authTokens: _, ...options } = readOptions({ port: 0 });
  const missing = [...Object.keys(options), 'authToken'].filter((name) => !guide.includes(`\n| \`${name}\` |`));
  expect(missing).toEqual([]);
  const [, limits] = guide.split('\n## Limits\n');
  expect(Object.keys(options.limits).filter((name) => !limits.includes(`\`${name}\``))).toEqual([]);
});
