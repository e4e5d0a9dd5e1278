// Each worker sends its next heartbeat when the last one was answered.

import { seconds } from '../support/rows.mjs';

const IN_FLIGHT = 1;

export default [
  {
    name: 'heartbeats',
    title: 'heartbeats with acks, 200 workers',
    full: { workers: 200, messages: 300_000 },
    quick: { workers: 200, messages: 30_000 },
    load: ({ messages }) => ({ mode: 'heartbeats', messages, inFlight: IN_FLIGHT }),
    serve() {},
    counts: ({ params, load }) => [['heartbeats answered', load.messages, params.messages]],
    messages: ({ params }) => params.messages,
    seconds: seconds.of('load'),
    goals: { rate: { atLeast: 1.8 }, cpu: { atMost: 0.55 }, js: { absolute: 0.05 } },
  },
];
