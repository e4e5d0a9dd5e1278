// The life of a request: send, trackRequest, the worker's answer, releaseRequest; then that worker gets the next one. Latency is
// what the application sees, from just before `send` to its handler.

import { createHistogram } from 'node:perf_hooks';
import { MESSAGE_BYTES, padded, seconds } from '../support/rows.mjs';

/** Ids of one length, so that every message has the same size. */
const idOf = (number) => `r-${String(number).padStart(8, '0')}`;
const FILL = padded({ type: 'work', requestId: idOf(0), prompt: '' }, 'prompt', MESSAGE_BYTES).prompt;

function serve({ server, params, counter }) {
  const { workers, inFlight, messages } = params;
  const results = counter(messages);
  const starts = new Map();
  // Kept as they are and sorted out afterwards: recording costs more than the clock does.
  const times = new Float64Array(messages);
  let sent = 0;
  let refused = 0;
  const next = (workerId) => {
    const requestId = idOf(sent);
    sent += 1;
    starts.set(requestId, performance.now());
    if (!server.send(workerId, { type: 'work', requestId, prompt: FILL })) refused += 1;
    server.trackRequest(workerId, requestId);
  };
  server.onWorkerMessage('result', (worker, { requestId }) => {
    times[results.count] = performance.now() - starts.get(requestId);
    starts.delete(requestId);
    server.releaseRequest(requestId, { incrementCompleted: true });
    results.add();
    if (sent < messages) next(worker.id);
  });
  const begin = () => {
    for (let round = 0; round < inFlight; round += 1) {
      for (let index = 0; index < workers && sent < messages; index += 1) next(`w${index}`);
    }
  };
  const result = () => {
    const histogram = createHistogram({ figures: 3 });
    for (const time of times) histogram.record(Math.max(1, Math.round(time * 1e6)));
    const completed = server.getWorkerInfo().reduce((sum, worker) => sum + worker.completedRequests, 0);
    const active = server.getWorkerInfo().reduce((sum, worker) => sum + worker.activeRequests, 0);
    const latency = {
      p50: histogram.percentile(50) / 1000,
      p99: histogram.percentile(99) / 1000,
      p999: histogram.percentile(99.9) / 1000,
      max: histogram.max / 1000,
    };
    return { results, refused, completed, active, latency };
  };
  return { begin, done: results.done, result };
}

/** A row in which the application asks and each of its workers answers. */
export const row = ({ name, title, full, quick, goals, shows, group }) => ({
  group,
  name,
  title,
  full,
  quick,
  load: ({ messages }) => ({ mode: 'answer', messages, size: MESSAGE_BYTES }),
  serve,
  counts: ({ params, server, load }) => [
    ['requests answered by workers', load.messages, params.messages],
    ['results handled', server.results.count, params.messages],
    ['requests completed', server.completed, params.messages],
    ['requests still active', server.active, 0],
    ['sends refused', server.refused, 0],
  ],
  messages: ({ params }) => params.messages,
  seconds: seconds.of('server', 'results'),
  latency: ({ server }) => server.latency,
  goals,
  shows,
});

const SINGLE = { rate: { atLeast: 1 }, cpu: { atMost: 1.2 }, p50: { atMost: 1.05 }, p99: { atMost: 1 } };

export default [
  row({
    name: 'requests-200',
    title: 'request, track, answer, release, 200 workers, 4 in flight on each',
    full: { workers: 200, inFlight: 4, messages: 200_000 },
    quick: { workers: 200, inFlight: 4, messages: 20_000 },
    goals: { rate: { atLeast: 1.6 }, cpu: { atMost: 0.67 }, js: { atMost: 0.2 }, p99: { atMost: 0.6 } },
    shows: ['p50'],
  }),
  row({
    name: 'requests-1',
    title: 'the same, 1 worker, 4 in flight',
    full: { workers: 1, inFlight: 4, messages: 100_000 },
    quick: { workers: 1, inFlight: 4, messages: 10_000 },
    goals: SINGLE,
    shows: ['js'],
  }),
  row({
    name: 'requests-1-alone',
    title: 'the same, 1 worker, 1 in flight',
    full: { workers: 1, inFlight: 1, messages: 50_000 },
    quick: { workers: 1, inFlight: 1, messages: 5_000 },
    goals: SINGLE,
    shows: ['js'],
  }),
];
