// What many requests that wait cost: each that comes and each slot that becomes free, and the memory of one.

import { setImmediate, setTimeout } from 'node:timers/promises';
import { Dispatcher, dispatching } from '../support/dispatcher.mjs';
import { FEATURES, MODEL, padded } from '../support/rows.mjs';

const PER_MODEL = 100;
/** Requests that are submitted, and slots that are released, between two looks at the clock. */
const BLOCK = 10;
const PAYLOAD_BYTES = 1000;

const ignore = () => {};
const CANCELLED = new Error('cancelled');

/** What the process of the server asks of a scenario: `run` begins when everybody is there, and `done` is its end. */
function scenario({ prepare, run, result }) {
  let done;
  return {
    prepare,
    begin() {
      done = run();
    },
    get done() {
      return done;
    },
    result,
  };
}

/**
 * Every worker has a model of its own, one slot, and `perModel` requests that wait for it. Then requests come, each for
 * the next model, and as many of those that run are cancelled, so that the slot goes to the oldest that waits. They are
 * streams, which can be cancelled without the price of an `AbortController`. Nothing is waited for from any worker.
 */
function serveQueue({ server, params }) {
  const { workers, perModel, messages } = params;
  const models = Array.from({ length: workers }, (_, index) => `model-${index}`);
  const requests = models.map(() => []);
  let ended = 0;
  const onEnd = () => {
    ended += 1;
  };
  const submit = (model) => {
    const request = server.stream({ prompt: 'Tell me more.' }, { model: models[model] });
    requests[model].push(request);
    request.result.then(ignore, onEnd);
  };
  let [submitMs, releaseMs, least] = [0, 0, 0];
  const prepare = async () => {
    for (let round = 0; round <= perModel; round += 1) {
      for (let model = 0; model < workers; model += 1) submit(model);
      await setImmediate();
    }
    least = server.getQueueInfo().size;
  };
  const run = async () => {
    for (let done = 0; done < messages; done += BLOCK) {
      const start = performance.now();
      for (let at = done; at < done + BLOCK; at += 1) submit(at % workers);
      const submitted = performance.now();
      for (let at = done; at < done + BLOCK; at += 1) requests[at % workers].shift().cancel(CANCELLED);
      releaseMs += performance.now() - submitted;
      submitMs += submitted - start;
      await setImmediate();
    }
    least = Math.min(least, server.getQueueInfo().size);
  };
  return scenario({ prepare, run, result: () => ({ ended, waiting: least, submitMs, releaseMs }) });
}

/** Requests of 1 KB each that find no slot. */
function serveMemory({ server, params, meter, implementation }) {
  const dispatcher = dispatching(server, implementation);
  const { messages } = params;
  let before;
  const prepare = async () => {
    before = await meter.settledRss();
  };
  const run = async () => {
    // One has the slot.
    for (let number = 0; number <= messages; number += 1) {
      // A text of its own for each, as it is when they come from clients.
      const prompt = padded({ prompt: '' }, 'prompt', PAYLOAD_BYTES).prompt.replace(
        'lorem',
        String(number).padStart(8),
      );
      dispatcher.request({ prompt }, { model: MODEL }).catch(ignore);
      if (number % 1000 === 0) await setImmediate();
    }
  };
  const result = async () => {
    await setTimeout(500);
    const after = await meter.settledRss();
    const waiting = dispatcher instanceof Dispatcher ? dispatcher.waiting : server.getQueueInfo().size;
    return { waiting, perRequest: (after - before) / messages };
  };
  return scenario({ prepare, run, result });
}

const UNBOUNDED = { maxSize: Infinity, maxBytes: Infinity, timeoutMs: Infinity };

export default [
  {
    name: 'waiting-queue',
    title: '100,000 requests wait for 1,000 models, beside 100 for 10',
    unit: 'requests',
    peer: 'few',
    full: { workers: 1000, perModel: PER_MODEL, messages: 100_000 },
    quick: { workers: 100, perModel: 10, messages: 2_000 },
    differs: { few: { workers: 10, perModel: 10 } },
    // A slot is free as soon as its request is cancelled.
    options: { queue: UNBOUNDED, limits: { cancelGraceMs: 0 } },
    load: () => ({ mode: 'hold', registration: { ownModel: true, slots: 1, features: [FEATURES.request] } }),
    serve: serveQueue,
    counts: ({ params, server }) => [
      ['requests ended', server.ended, params.messages],
      ['requests that wait', server.waiting, params.workers * params.perModel],
    ],
    messages: ({ params }) => params.messages,
    submit: ({ params, server }) => (server.submitMs * 1000) / params.messages,
    release: ({ params, server }) => (server.releaseMs * 1000) / params.messages,
    goals: { submit: { atMost: 2 }, release: { atMost: 2 } },
    shows: ['js'],
  },
  {
    name: 'waiting-memory',
    title: "a waiting request's memory, 1 KB each, beside a dispatcher on ws",
    full: { workers: 1, messages: 100_000 },
    quick: { workers: 1, messages: 5_000 },
    options: { queue: UNBOUNDED },
    load: (_params, implementation) => ({
      mode: 'hold',
      registration: { slots: 1, features: implementation === 'native' ? [FEATURES.request] : [] },
    }),
    serve: serveMemory,
    counts: ({ params, server }) => [['requests that wait', server.waiting, params.messages]],
    messages: ({ params }) => params.messages,
    memory: ({ server }) => server.perRequest,
    // 2.5 KB.
    goals: { memory: { absolute: 2.44 } },
  },
];
