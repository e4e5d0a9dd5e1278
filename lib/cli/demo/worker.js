'use strict';

// An example worker: answers chat requests word by word. Run by `demo` as a process of its own: URL, name and model are its
// arguments, and it leaves when `demo` does.

const { setTimeout: sleep } = require('node:timers/promises');
const { Worker } = require('../../worker');
const { summaryOf } = require('./summary.js');

const WORD_MS = 40;

const [url, name, model] = process.argv.slice(2);

const WORK = { 'summary-1': summaryOf, 'echo-1': (text) => text };

async function* answer({ path, body }, { requestId, signal }) {
  if (path !== '/chat/completions') throw httpError(404, `This example knows /chat/completions only, not ${path}`);
  const said = Array.isArray(body.messages) ? body.messages.at(-1)?.content : undefined;
  if (typeof said !== 'string') throw httpError(400, 'messages must end with one whose content is a text');
  const common = { id: `chatcmpl-${requestId}`, created: Math.floor(Date.now() / 1000), model };
  const words = WORK[model](said).match(/\S+\s*/g) ?? [];
  for (const content of words) {
    await sleep(WORD_MS, undefined, { signal });
    yield chunk(common, { role: 'assistant', content }, null);
  }
  yield chunk(common, {}, 'stop');
  const message = { role: 'assistant', content: words.join('') };
  return { ...common, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] };
}

const chunk = (common, delta, reason) => ({
  ...common,
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, finish_reason: reason }],
});

function httpError(status, message) {
  const type = 'invalid_request_error';
  const body = { error: { message, type, param: null, code: null } };
  return Object.assign(new Error(message), { data: { status, body } });
}

const worker = new Worker({
  url,
  workerId: name,
  capabilities: { models: [{ modelId: model, displayName: model, supportsStreaming: true }], maxConcurrentRequests: 2 },
  handler: answer,
  handleSignals: ['SIGTERM'],
  reconnect: { maxDelayMs: 2_000 },
});

// Ctrl-C is for the whole group: the server drains, and this worker is needed for that.
process.on('SIGINT', () => {});
process.on('disconnect', () => worker.close());
worker.run().then(
  () => process.exit(0),
  (error) => {
    console.error(`${name}: ${error.message}`);
    process.exit(1);
  },
);
