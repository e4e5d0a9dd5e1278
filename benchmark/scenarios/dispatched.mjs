// `request()` beside a dispatcher that an application wrote itself: callers ask, await the result, and ask again.
// Latency is what a caller sees, from the call to behind the `await`. Each row is there twice: beside the dispatcher on
// `ws`, and beside it on this package.

import { createHistogram } from 'node:perf_hooks';
import { dispatching } from '../support/dispatcher.mjs';
import { FEATURES, MESSAGE_BYTES, MODEL, padded, seconds } from '../support/rows.mjs';

const EXAMPLE = { type: 'work', requestId: '00000000-0000-4000-8000-000000000000', prompt: '' };
const { prompt } = padded(EXAMPLE, 'prompt', MESSAGE_BYTES);

function serve({ server, params, counter, implementation }) {
  const { workers, inFlight, messages } = params;
  const results = counter(messages);
  const dispatcher = dispatching(server, implementation);
  // Kept as they are and sorted out afterwards: recording costs more than the clock does.
  const times = new Float64Array(messages);
  let asked = 0;
  const call = async () => {
    while (asked < messages) {
      asked += 1;
      const start = performance.now();
      await dispatcher.request({ prompt }, { model: MODEL });
      times[results.count] = performance.now() - start;
      results.add();
    }
  };
  const begin = () => {
    for (let count = workers * inFlight; count > 0; count -= 1) call();
  };
  const result = () => {
    const histogram = createHistogram({ figures: 3 });
    for (const time of times) histogram.record(Math.max(1, Math.round(time * 1e6)));
    const completed = server.getWorkerInfo().reduce((sum, worker) => sum + worker.completedRequests, 0);
    const active = server.getWorkerInfo().reduce((sum, worker) => sum + worker.activeRequests, 0);
    const latency = { p50: histogram.percentile(50) / 1000, p99: histogram.percentile(99) / 1000 };
    return { results, completed, active, latency };
  };
  return { begin, done: results.done, result };
}

const row = ({ name, title, peer, features, goals, shows, ...params }) => ({
  name,
  title,
  peer,
  unit: 'requests',
  ...params,
  load: ({ messages }, implementation) => ({
    mode: 'answer',
    messages,
    size: MESSAGE_BYTES,
    // As this package's own worker does, which acknowledges what it takes.
    acks: features.length > 1,
    registration: { features: implementation === 'native' ? features : [] },
  }),
  serve,
  counts: ({ params: { messages }, server, load }) => [
    ['requests answered by workers', load.messages, messages],
    ['results awaited', server.results.count, messages],
    ['requests completed', server.completed, messages],
    ['requests still active', server.active, 0],
  ],
  messages: ({ params: { messages } }) => messages,
  seconds: seconds.of('server', 'results'),
  latency: ({ server }) => server.latency,
  goals,
  shows,
});

const MANY = {
  full: { workers: 200, inFlight: 4, messages: 200_000 },
  quick: { workers: 200, inFlight: 4, messages: 20_000 },
};
const ALONE = {
  full: { workers: 1, inFlight: 1, messages: 50_000 },
  quick: { workers: 1, inFlight: 1, messages: 5_000 },
};

export default [
  row({
    name: 'dispatched-200',
    title: 'request(), 200 workers, 4 in flight on each, beside a dispatcher on ws',
    features: [FEATURES.request],
    goals: { rate: { atLeast: 3 } },
    shows: ['cpu', 'js', 'p50', 'p99'],
    ...MANY,
  }),
  row({
    name: 'dispatched-200-own',
    title: 'the same, beside a dispatcher on this package',
    peer: 'dispatcher',
    features: [FEATURES.request],
    goals: { rate: { atLeast: 0.85 }, js: { atMost: 1.3 } },
    shows: ['cpu', 'p50', 'p99'],
    ...MANY,
  }),
  row({
    name: 'dispatched-200-resume',
    title: 'the same, with acknowledgements and resume',
    peer: 'dispatcher',
    features: [FEATURES.request, FEATURES.resume],
    goals: {},
    shows: ['rate', 'cpu', 'js'],
    ...MANY,
  }),
  row({
    name: 'dispatched-1',
    title: 'request(), 1 worker, 1 in flight, beside a dispatcher on ws',
    features: [FEATURES.request],
    goals: { p50: { atMost: 1.1 } },
    shows: ['rate', 'cpu', 'js', 'p99'],
    ...ALONE,
  }),
  row({
    name: 'dispatched-1-own',
    title: 'the same, beside a dispatcher on this package',
    peer: 'dispatcher',
    features: [FEATURES.request],
    goals: { p50: { atMost: 1.1 } },
    shows: ['rate', 'cpu', 'js', 'p99'],
    ...ALONE,
  }),
];
