'use strict';

// docs/OBSERVABILITY.md: its examples run.

const diagnostics = require('node:diagnostics_channel');
const { onCleanup } = require('../support/cleanup.js');
const { examplesIn, runExample, startedServer } = require('../support/doc-examples.js');

const examples = examplesIn('docs/OBSERVABILITY.md');
const run = async (part) => runExample(examples.find(([, code]) => code.includes(part))[1], await startedServer());

/** Channels are the process's: what an example subscribes is taken away after its test. */
beforeEach(() => {
  const { subscribe } = diagnostics;
  jest.spyOn(diagnostics, 'subscribe').mockImplementation((name, onMessage) => {
    subscribe(name, onMessage);
    onCleanup(() => diagnostics.unsubscribe(name, onMessage));
  });
  const tracing = Object.getPrototypeOf(diagnostics.tracingChannel('worker-server:request'));
  const { subscribe: subscribeAll } = tracing;
  jest.spyOn(tracing, 'subscribe').mockImplementation(function (subscribers) {
    subscribeAll.call(this, subscribers);
    onCleanup(() => this.unsubscribe(subscribers));
  });
});
afterEach(() => jest.restoreAllMocks());

test('the example of the error channel says which handler threw what', async () => {
  const [, code] = examples.find(([, text]) => text.includes('worker-server:error'));
  const server = await startedServer();
  server.onWorkerUpdated(() => {
    throw new RangeError('boom');
  });
  const lines = await runExample(`${code}; server.setWorkerStatus('w1', 'draining');`, server);
  expect(lines.join('\n')).toMatch(/^updated handler of w1: RangeError: boom\n +at /);
});

test('the example of the request channel says how a request ended', async () => {
  expect(await run('asyncEnd')).toEqual(['r1: 1 attempt(s), last on w1, completed']);
});
