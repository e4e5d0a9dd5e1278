'use strict';

// OpenAI's own client against the gateway, with this package's worker behind it.

const { OpenAI } = require('openai');
const { Worker } = require('../../lib/worker/index.js');
const { startGateway } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');
const { nextCall, until } = require('../support/server.js');

const KEY = 'sk-of-the-client';
const MESSAGES = [{ role: 'user', content: 'Hello' }];

/** A gateway, one worker that answers with `handler`, and a client. */
async function startAll(handler, { gateway, server: serverOptions, worker: workerOptions, ...client } = {}) {
  const started = await startGateway({ apiKeys: [KEY], ...gateway }, serverOptions);
  const worker = new Worker({
    url: `ws://127.0.0.1:${started.port}`,
    workerId: 'w',
    capabilities: { models: [{ modelId: 'gpt' }], maxConcurrentRequests: 4 },
    handler,
    handleSignals: [],
    isolate: false,
    ...workerOptions,
  });
  onCleanup(() => worker.close());
  const connected = nextCall((call) => started.server.onWorkerConnected(call));
  worker.run().catch(() => {});
  await connected;
  const openai = new OpenAI({ apiKey: KEY, baseURL: `http://127.0.0.1:${started.port}/v1`, ...client });
  return { ...started, worker, openai };
}

const completion = (message, more = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
  ...more,
});

const delta = (content, finish = null) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt',
  choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: finish }],
});

const failure = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
};

test('models are listed and retrieved', async () => {
  const { openai } = await startAll(() => null);
  const { data } = await openai.models.list();
  expect(data).toEqual([{ id: 'gpt', object: 'model', created: expect.any(Number), owned_by: expect.any(String) }]);
  expect(await openai.models.retrieve('gpt')).toEqual(data[0]);
  expect(await failure(openai.models.retrieve('a/b'))).toBeInstanceOf(OpenAI.NotFoundError);
});

test('a chat with tools goes to the worker as it is, and its answer comes back as it is', async () => {
  const seen = [];
  const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Köln"}' } };
  const { openai } = await startAll(({ path, body }) => {
    seen.push(path, body);
    return completion({ content: null, tool_calls: [call] });
  });
  const body = {
    model: 'gpt',
    messages: MESSAGES,
    tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }],
    tool_choice: 'auto',
    temperature: 0.5,
  };
  const answer = await openai.chat.completions.create(body);
  expect(seen).toEqual(['/chat/completions', body]);
  expect(answer.choices[0].message.tool_calls).toEqual([call]);
  expect(answer._request_id).toMatch(/./);
});

test('a chat is streamed token by token', async () => {
  const tokens = ['Hel', 'lo', ' Wörld 🙂\n\n'];
  const { openai } = await startAll(async function* stream() {
    for (const token of tokens) yield delta(token);
    yield delta('', 'stop');
  });
  const stream = await openai.chat.completions.create({ model: 'gpt', messages: MESSAGES, stream: true });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toEqual([...tokens.map((token) => delta(token)), delta('', 'stop')]);
  const whole = openai.chat.completions.stream({ model: 'gpt', messages: MESSAGES });
  expect(await whole.finalContent()).toBe(tokens.join(''));
});

test('tools are called by the client’s own runner, over two turns', async () => {
  const { openai } = await startAll(async function* answer({ body }) {
    const given = body.messages.find(({ role }) => role === 'tool');
    if (given !== undefined) {
      yield delta(`It is ${given.content}.`, 'stop');
      return;
    }
    const call = { index: 0, id: 'c1', type: 'function', function: { name: 'weather', arguments: '' } };
    const { choices, ...rest } = delta('');
    const piece = (toolCall, finish = null) => ({
      ...rest,
      choices: [{ ...choices[0], delta: { role: 'assistant', tool_calls: [toolCall] }, finish_reason: finish }],
    });
    yield piece(call);
    yield piece({ index: 0, function: { arguments: '{"city":' } });
    yield piece({ index: 0, function: { arguments: '"Köln"}' } }, 'tool_calls');
  });
  const weather = jest.fn(({ city }) => `raining in ${city}`);
  const tool = {
    type: 'function',
    function: { name: 'weather', function: weather, parse: JSON.parse, parameters: { type: 'object', properties: {} } },
  };
  const runner = openai.chat.completions.runTools({ model: 'gpt', messages: MESSAGES, tools: [tool], stream: true });
  expect(await runner.finalContent()).toBe('It is raining in Köln.');
  expect(weather).toHaveBeenCalledTimes(1);
});

test('completions, embeddings and responses', async () => {
  const usage = { prompt_tokens: 1, total_tokens: 1 };
  const { openai } = await startAll(async function* answer({ path, body }) {
    if (path === '/embeddings') {
      return { object: 'list', model: 'gpt', usage, data: [{ object: 'embedding', index: 0, embedding: [0.5, -1] }] };
    }
    if (path === '/completions') {
      yield { id: 'c', object: 'text_completion', choices: [{ index: 0, text: 'a' }] };
      return undefined;
    }
    if (!body.stream) {
      const content = [{ type: 'output_text', text: 'Hi', annotations: [] }];
      return { id: 'r', object: 'response', output: [{ type: 'message', id: 'm', role: 'assistant', content }] };
    }
    yield { type: 'response.created', sequence_number: 0, response: { id: 'r' } };
    yield { type: 'response.output_text.delta', sequence_number: 1, delta: 'Hi' };
    yield { type: 'response.completed', sequence_number: 2, response: { id: 'r' } };
    return undefined;
  });
  const embedding = await openai.embeddings.create({ model: 'gpt', input: 'x', encoding_format: 'float' });
  expect(embedding.data[0].embedding).toEqual([0.5, -1]);
  const texts = [];
  for await (const { choices } of await openai.completions.create({ model: 'gpt', prompt: 'x', stream: true })) {
    texts.push(choices[0].text);
  }
  expect(texts).toEqual(['a']);
  expect((await openai.responses.create({ model: 'gpt', input: 'x' })).output_text).toBe('Hi');
  const types = [];
  for await (const { type } of await openai.responses.create({ model: 'gpt', input: 'x', stream: true }))
    types.push(type);
  expect(types).toEqual(['response.created', 'response.output_text.delta', 'response.completed']);
});

describe('errors', () => {
  const ask = (openai, more, options) =>
    failure(openai.chat.completions.create({ model: 'gpt', messages: MESSAGES, ...more }, options));

  test('are the client’s own classes, with their code and id', async () => {
    const { openai } = await startAll(() => {
      throw Object.assign(new Error('x'), {
        data: {
          status: 400,
          body: { error: { message: 'too long', code: 'context_length_exceeded', param: 'messages' } },
        },
      });
    });
    const wrong = await ask(openai, {});
    expect(wrong).toBeInstanceOf(OpenAI.BadRequestError);
    expect(wrong).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'messages' });
    expect(wrong.requestID).toMatch(/./);
    expect(await ask(openai, { model: 'other' })).toBeInstanceOf(OpenAI.NotFoundError);
    const stranger = openai.withOptions({ apiKey: 'sk-wrong' });
    const refused = await ask(stranger, {});
    expect(refused).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(refused.code).toBe('invalid_api_key');
  });

  test('in the middle of a stream end it with what went wrong', async () => {
    const { openai } = await startAll(async function* answer() {
      yield delta('Hel');
      throw new Error('out of memory');
    });
    const texts = [];
    const stream = await openai.chat.completions.create({ model: 'gpt', messages: MESSAGES, stream: true });
    const error = await failure(
      (async () => {
        for await (const { choices } of stream) texts.push(choices[0].delta.content);
      })(),
    );
    expect(texts).toEqual(['Hel']);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(JSON.stringify(error.error)).toMatch(/out of memory/);
  });

  test('after which the work may have run are not tried again by the client itself', async () => {
    let calls = 0;
    const { openai } = await startAll(
      () => {
        calls += 1;
        throw new Error('broken');
      },
      { maxRetries: 3 },
    );
    const error = await ask(openai, {});
    expect([error.status, error.code, calls]).toEqual([502, 'worker_error', 1]);
  });

  test('after which it can’t have run are, until there is room', async () => {
    let release;
    const held = new Promise((resolve) => {
      release = resolve;
    });
    const handler = async ({ body }) => {
      if (body.user === 'first') await held;
      return completion({ content: body.user });
    };
    const seen = [];
    const options = (req) => {
      seen.push(req.headers['x-stainless-retry-count']);
      return undefined;
    };
    const { openai, server } = await startAll(handler, {
      gateway: { options },
      server: { queue: { maxSize: 0 } },
      worker: { capabilities: { models: [{ modelId: 'gpt' }], maxConcurrentRequests: 1 } },
      maxRetries: 2,
    });
    const create = (user, more) => openai.chat.completions.create({ model: 'gpt', messages: MESSAGES, user }, more);
    const first = create('first');
    await until(() => server.getWorkerInfo()[0].activeRequests === 1);
    const full = await failure(create('none', { maxRetries: 0 }));
    expect(full).toBeInstanceOf(OpenAI.RateLimitError);
    expect(full.headers.get('retry-after')).toMatch(/^\d+$/);
    seen.length = 0;
    const second = create('second');
    await until(() => seen.length === 1);
    release();
    await first;
    expect((await second).choices[0].message.content).toBe('second');
    expect(seen).toEqual(['0', '1']);
  });
});

describe('aborting', () => {
  test.each([false, true])('ends the worker’s work, with stream: %s', async (stream) => {
    let onAborted;
    const aborted = new Promise((resolve) => {
      onAborted = resolve;
    });
    const abort = new AbortController();
    const { openai } = await startAll(async function* answer(_payload, { signal }) {
      if (stream) yield delta('a');
      else abort.abort();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      onAborted(signal.reason.code);
    });
    const asked = openai.chat.completions.create(
      { model: 'gpt', messages: MESSAGES, stream },
      { signal: abort.signal },
    );
    if (stream) {
      for await (const _chunk of await asked) break;
    } else {
      expect(await failure(asked)).toBeInstanceOf(OpenAI.APIUserAbortError);
    }
    expect(await aborted).toBe('ABORTED');
  });
});
