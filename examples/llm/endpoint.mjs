// OpenAI's interface to a model file on this machine, as far as the bridge needs it.
//
//   node endpoint.mjs model.gguf [--port 8000] [--threads 1] [--slots 2]
//
// It answers GET /v1/models, GET /props (how many requests it takes at once), POST /v1/chat/completions and
// /v1/completions, streamed or not. A client that closes the connection ends the computing.

import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { getLlama, LlamaCompletion } from 'node-llama-cpp';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '8000' },
    threads: { type: 'string', default: '1' },
    slots: { type: 'string', default: '2' },
  },
});
const [file] = positionals;
if (file === undefined) {
  console.error('usage: node endpoint.mjs MODEL.gguf [--port N] [--threads N] [--slots N]');
  process.exit(2);
}
const slots = Number(options.slots);
const MAX_TOKENS = 64;
const CONTEXT_TOKENS = 2048;
const modelId = path.basename(file, '.gguf');

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(options.threads), logLevel: 'error' });
const model = await llama.loadModel({ modelPath: path.resolve(file) });
const context = await model.createContext({ contextSize: CONTEXT_TOKENS, sequences: slots });

/** A base model only goes on with a text: so it gets one in which questions are answered in a line each. */
function promptOf({ messages, prompt }) {
  if (prompt !== undefined) return { prompt: String(prompt), stop: [] };
  const turns = messages.map(({ role, content }) => (role === 'assistant' ? `A: ${content}` : `Q: ${content}`));
  const examples =
    'Q: What is the capital of Italy?\nA: The capital of Italy is Rome.\nQ: What is 2 plus 2?\nA: It is 4.\n';
  return { prompt: `${examples}${turns.join('\n')}\nA:`, stop: ['\n'] };
}

/** Computes an answer; `onText` is called with each piece of it. */
async function complete(body, signal, onText) {
  const { prompt, stop } = promptOf(body);
  const sequence = context.getSequence();
  try {
    const completion = new LlamaCompletion({ contextSequence: sequence });
    const { response, metadata } = await completion.generateCompletionWithMeta(prompt, {
      maxTokens: body.max_tokens ?? MAX_TOKENS,
      temperature: body.temperature ?? 0,
      customStopTriggers: stop,
      signal,
      onTextChunk: onText,
    });
    return { text: response, reason: metadata.stopReason === 'maxTokens' ? 'length' : 'stop' };
  } finally {
    sequence.dispose();
  }
}

/** What of the two interfaces differs: the objects' names, and where the text stands. */
const KINDS = {
  '/v1/chat/completions': {
    whole: ['chat.completion', (text) => ({ message: { role: 'assistant', content: text } })],
    piece: ['chat.completion.chunk', (text) => ({ delta: text === '' ? {} : { role: 'assistant', content: text } })],
  },
  '/v1/completions': {
    whole: ['text_completion', (text) => ({ text })],
    piece: ['text_completion', (text) => ({ text })],
  },
};

async function answer(req, res, kind) {
  const body = JSON.parse(Buffer.concat(await req.toArray()).toString());
  const gone = new AbortController();
  res.on('close', () => gone.abort());
  const common = { id: `local-${Date.now()}`, created: Math.floor(Date.now() / 1000), model: modelId };
  const objectOf = ([object, fields], text, reason) => ({
    ...common,
    object,
    choices: [{ index: 0, ...fields(text), finish_reason: reason }],
  });
  if (body.stream !== true) {
    const { text, reason } = await complete(body, gone.signal);
    json(res, 200, objectOf(kind.whole, text.trim(), reason));
    return;
  }
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const event = (data) => res.write(`data: ${data}\n\n`);
  let hasBegun = false;
  const { reason } = await complete(body, gone.signal, (text) => {
    const piece = hasBegun ? text : text.trimStart();
    hasBegun ||= piece !== '';
    if (piece !== '') event(JSON.stringify(objectOf(kind.piece, piece, null)));
  });
  event(JSON.stringify(objectOf(kind.piece, '', reason)));
  event('[DONE]');
  res.end();
}

function json(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
}

const server = http.createServer(async (req, res) => {
  try {
    if (req.url === '/v1/models') json(res, 200, { object: 'list', data: [{ id: modelId, object: 'model' }] });
    else if (req.url === '/props') json(res, 200, { total_slots: slots });
    else if (req.method === 'POST' && Object.hasOwn(KINDS, req.url)) await answer(req, res, KINDS[req.url]);
    else json(res, 404, { error: { message: 'Not found', type: 'invalid_request_error' } });
  } catch (error) {
    if (res.destroyed) return;
    if (res.headersSent) res.destroy();
    else
      json(res, error instanceof SyntaxError ? 400 : 500, { error: { message: error.message, type: 'server_error' } });
  }
});
server.listen(Number(options.port), '127.0.0.1');
await once(server, 'listening');
console.log(`${modelId} at http://127.0.0.1:${server.address().port}/v1, ${slots} requests at once`);
