'use strict';

// The recipes of docs/OBSERVABILITY.md with OpenTelemetry: the spans of a program, of its requests, and of a worker in JavaScript
// and one in Python are one trace. Where Python has no `opentelemetry-sdk` the last of these is skipped.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { tracingChannel } = require('node:diagnostics_channel');
const { SpanStatusCode, context, propagation, trace } = require('@opentelemetry/api');
const { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { onCleanup } = require('../support/cleanup.js');
const { examplesIn, readDocument } = require('../support/doc-examples.js');
const workerServer = require('../support/package.js');
const { WORKER_ENV, pythonWithWorker } = require('../support/python.js');
const { Worker } = require('../../lib/worker/index.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');

const AsyncFunction = (async () => {}).constructor;
const examples = examplesIn('docs/OBSERVABILITY.md').map(([, code]) => code);
/** Channels are the process's: what an example subscribes is taken away after its test. */
const diagnosticsChannel = {
  tracingChannel(name) {
    const channel = tracingChannel(name);
    return {
      start: {
        bindStore(store, transform) {
          channel.start.bindStore(store, transform);
          onCleanup(() => channel.start.unbindStore(store));
        },
      },
      subscribe(subscribers) {
        channel.subscribe(subscribers);
        onCleanup(() => channel.unsubscribe(subscribers));
      },
    };
  },
};
const PACKAGES = {
  'node:diagnostics_channel': diagnosticsChannel,
  '@hardlydifficult/worker-server': workerServer,
  '@hardlydifficult/worker-server/worker': { Worker },
};
const requireFrom = (name) => PACKAGES[name] ?? require(name);

const { python, testWithPython } = pythonWithWorker('opentelemetry.sdk.trace');

/** Runs the example that has `part` in it. Resolves with what it calls `name`. */
async function run(part, name, variables = {}) {
  const code = `${examples.find((each) => each.includes(part))}\nreturn ${name};`;
  return new AsyncFunction('require', ...Object.keys(variables), code)(requireFrom, ...Object.values(variables));
}

/** The spans that have ended. */
function recordSpans() {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  provider.register();
  onCleanup(async () => {
    await provider.shutdown();
    for (const api of [trace, context, propagation]) api.disable();
  });
  return () => exporter.getFinishedSpans();
}

/** The server of the guide. */
async function startServer() {
  const server = await run('bindStore', 'server');
  onCleanup(() => server.stop());
  return server;
}

const connected = (server) => new Promise((resolve) => server.onWorkerConnected(resolve));
const idOf = (span) => span.spanContext().spanId;
const parentOf = (span) => span.parentSpanContext?.spanId;

/** What a program does, with a span around it. */
const inProgram = (work) =>
  trace.getTracer('program').startActiveSpan('program', async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });

test('the spans of the program, of the request and of a worker in JavaScript are one trace', async () => {
  const spans = recordSpans();
  const server = await startServer();
  const isConnected = connected(server);
  const worker = await run('startActiveSpan', 'worker', { url: `ws://127.0.0.1:${server.port}` });
  const running = worker.run();
  onCleanup(() => worker.close());
  await isConnected;
  const answer = await inProgram(() => server.request({ prompt: 'hello' }, { model: 'llama-3-8b', requestId: 'r' }));
  expect(answer).toEqual({ text: 'HELLO' });
  await worker.close();
  await running;
  const [program, request, work] = ['program', 'request', 'answer'].map((name) =>
    spans().find((span) => span.name === name),
  );
  expect(new Set([program, request, work].map((span) => span.spanContext().traceId)).size).toBe(1);
  expect(parentOf(program)).toBe(undefined);
  expect(parentOf(request)).toBe(idOf(program));
  expect(parentOf(work)).toBe(idOf(request));
  expect(request.attributes).toEqual({
    'worker_server.request_id': 'r',
    'worker_server.model': 'llama-3-8b',
    'worker_server.attempts': 1,
    'worker_server.worker_id': expect.any(String),
  });
});

testWithPython('the span of a worker in Python is of the same trace', async () => {
  const spans = recordSpans();
  const server = await startServer();
  const isConnected = connected(server);
  const [, code] = /```python\n(.*?)```/s.exec(readDocument('docs/OBSERVABILITY.md'));
  const env = { ...process.env, ...WORKER_ENV };
  const child = spawn(python, ['-c', code, `ws://127.0.0.1:${server.port}`], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onCleanup(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  await isConnected;
  const answer = await inProgram(() => server.request({ prompt: 'hello' }, { model: 'gpt-oss' }));
  expect(answer).toEqual({ text: 'HELLO' });
  const exit = once(child, 'close');
  child.kill('SIGTERM');
  await exit;
  const work = JSON.parse(said);
  const request = spans().find((span) => span.name === 'request');
  expect(work.name).toBe('answer');
  expect(work.context.trace_id).toBe(`0x${request.spanContext().traceId}`);
  expect(work.parent_id).toBe(`0x${idOf(request)}`);
  expect(parentOf(request)).toBe(idOf(spans().find((span) => span.name === 'program')));
});

test('requests side by side have the right parents', async () => {
  const spans = recordSpans();
  const server = await startServer();
  const worker = await connectRequestWorker(server, 'w', { slots: 9 });
  const ask = (name) =>
    trace.getTracer('program').startActiveSpan(name, (span) => {
      const promise = server.request({}, { requestId: `r-${name}` });
      span.end();
      return promise;
    });
  const promises = ['a', 'b'].map(ask);
  for (let n = 0; n < 2; n += 1) {
    const asked = await worker.nextRequest();
    const [, traceId, spanId] = asked.trace.traceparent.split('-');
    worker.answer(asked, 'result', { data: [traceId, spanId] });
  }
  const answers = await Promise.all(promises);
  for (const [n, name] of ['a', 'b'].entries()) {
    const request = spans().find(({ attributes }) => attributes['worker_server.request_id'] === `r-${name}`);
    expect(parentOf(request)).toBe(idOf(spans().find((span) => span.name === name)));
    expect(answers[n]).toEqual([request.spanContext().traceId, idOf(request)]);
  }
});

test('a request that fails has a span that says so', async () => {
  const spans = recordSpans();
  const server = await startServer();
  await rejection(server.stream({}, { queueTimeoutMs: 0, model: 'x' }).result);
  const span = spans().find(({ name }) => name === 'stream');
  expect(span.status).toEqual({ code: SpanStatusCode.ERROR, message: 'NO_WORKER' });
  expect(span.events[0].name).toBe('exception');
  expect(span.attributes['worker_server.attempts']).toBe(0);
});
