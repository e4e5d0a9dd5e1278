'use strict';

// An example worker: answers chat requests word by word. The demo runs it as a process of its own: URL and name are its
// arguments, the token is in WORKER_TOKEN, and it leaves when the demo does.

const { setTimeout: sleep } = require('node:timers/promises');
const { Worker } = require('../../worker');
const { summaryOf, tokensOf } = require('./summary.js');

const TOKEN_MS = 30;
const AT_ONCE = 2;

const [url, name] = process.argv.slice(2);

const MODELS = { 'summary-1': summaryOf, 'echo-1': (text) => text };

async function* answer({ path, body }, { requestId, model, signal, progress }) {
  if (path !== '/chat/completions') throw httpError(404, `This example knows /chat/completions only, not ${path}`);
  const said = Array.isArray(body.messages) ? body.messages.at(-1)?.content : undefined;
  if (typeof said !== 'string') throw httpError(400, 'messages must end with one whose content is a text');
  const common = { id: `chatcmpl-${requestId}`, created: Math.floor(Date.now() / 1000), model };
  const tokens = tokensOf(MODELS[model](said));
  progress({ tokens: tokens.length });
  for (const content of tokens) {
    await sleep(TOKEN_MS, undefined, { signal });
    yield chunk(common, { role: 'assistant', content }, null);
  }
  yield chunk(common, {}, 'stop');
  const message = { role: 'assistant', content: tokens.join('') };
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
  authToken: process.env.WORKER_TOKEN,
  capabilities: {
    models: Object.keys(MODELS).map((modelId) => ({ modelId, displayName: modelId, supportsStreaming: true })),
    maxConcurrentRequests: AT_ONCE,
    metadata: { language: 'JavaScript' },
  },
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
