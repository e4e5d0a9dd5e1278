// What a fleet costs by being there: connecting and registering, staying connected, and having its heartbeats answered while the
// program's JavaScript is busy.

import { setTimeout } from 'node:timers/promises';
import { seconds } from '../support/rows.mjs';

const BLOCKED_MS = 3000;

export default [
  {
    name: 'register',
    title: 'connect and register, 2,000 workers',
    unit: 'workers',
    full: { workers: 2000 },
    quick: { workers: 500 },
    load: () => ({ mode: 'register' }),
    serve({ server, params, counter }) {
      const connected = counter(params.workers);
      server.onWorkerConnected(() => connected.add());
      return {
        done: connected.done,
        result: () => ({ connected: connected.count, registered: server.getWorkerCount() }),
      };
    },
    counts: ({ params, server, load }) => [
      ['workers told of', server.connected, params.workers],
      ['workers registered', server.registered, params.workers],
      ['registrations acknowledged', load.messages, params.workers],
    ],
    messages: ({ params }) => params.workers,
    seconds: seconds.of('load'),
    goals: { rate: { atLeast: 1.5 }, cpu: { atMost: 0.7 } },
    shows: ['js'],
  },
  {
    name: 'blocked',
    title: 'heartbeat ack while JavaScript is blocked for 3 s, 200 workers',
    full: { workers: 200, everyMs: 50, forMs: BLOCKED_MS - 300 },
    quick: { workers: 200, everyMs: 100, forMs: BLOCKED_MS - 300 },
    // The time of being blocked exceeds the timeout, and three times the timeout it does not: nobody is cut off.
    options: { heartbeatTimeoutMs: 1500, healthCheckIntervalMs: 100 },
    load: ({ everyMs, forMs }) => ({ mode: 'beats', everyMs, forMs }),
    serve() {
      const end = Promise.withResolvers?.() ?? withResolvers();
      const begin = () => {
        const until = performance.now() + BLOCKED_MS;
        while (performance.now() < until);
        // Time for a check to find a worker that it thinks silent.
        setTimeout(500).then(end.resolve);
      };
      return { begin, done: end.promise };
    },
    counts: ({ load }) => [
      ['heartbeats answered', load.messages, load.sent],
      ['heartbeats unanswered', load.unanswered, 0],
    ],
    messages: ({ load }) => load.messages,
    latency: ({ load }) => load.latency,
    unhealthy: ({ server }) => server.warnings['Worker heartbeat timeout'] ?? 0,
    goals: { p99: { absolute: 5000 }, unhealthy: { absolute: 0 } },
    shows: ['p50'],
  },
  {
    name: 'idle-memory',
    title: "an idle worker's memory, 10,000 workers",
    full: { workers: 10_000 },
    quick: { workers: 1000 },
    load: () => ({ mode: 'register' }),
    serve({ server, params, meter, counter }) {
      const connected = counter(params.workers);
      server.onWorkerConnected(() => connected.add());
      let before;
      const prepare = async () => {
        before = await meter.settledRss();
      };
      const result = async () => {
        // What connecting took on the way is given back a moment later.
        await setTimeout(1500);
        const after = await meter.settledRss();
        return { registered: server.getWorkerCount(), perWorker: (after - before) / params.workers };
      };
      return { prepare, done: connected.done, result };
    },
    counts: ({ params, server, load }) => [
      ['workers registered', server.registered, params.workers],
      ['registrations acknowledged', load.messages, params.workers],
    ],
    messages: ({ params }) => params.workers,
    memory: ({ server }) => server.perWorker,
    goals: { memory: { atMost: 0.6, absolute: 8 } },
  },
];

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
