// Workers send 20,000 messages a second in all, one after another. The delay is from when a message was due to when it was handled, and
// includes that the load generator writes what is due in pieces; its mean needs no more than when all were handled, and when all were due.

import { MESSAGE_BYTES, seconds } from '../support/rows.mjs';

const row = ({ name, title, full, quick, goals, shows = [] }) => ({
  name,
  title,
  full,
  quick,
  load: ({ messages, rate }) => ({ mode: 'paced', messages, rate, size: MESSAGE_BYTES }),
  serve({ server, params, counter }) {
    const reports = counter(params.messages);
    let sumMs = 0;
    server.onWorkerMessage('report', () => {
      sumMs += performance.now();
      reports.add();
    });
    return {
      done: reports.done,
      result: () => ({ reports, meanMs: performance.timeOrigin + sumMs / params.messages }),
    };
  },
  counts: ({ params, server }) => [['reports handled', server.reports.count, params.messages]],
  messages: ({ params }) => params.messages,
  seconds: seconds.of('server', 'reports'),
  delay: ({ params, server, load }) => server.meanMs - load.startMs - ((params.messages - 1) / 2 / params.rate) * 1000,
  shows: ['delay', ...shows],
  goals,
});

/** So few that each finds every thread asleep. */
const slow = (rate, fullSeconds) =>
  row({
    name: `paced-slowly-${rate}`,
    title: `inbound paced, ${rate}/s over 10 workers`,
    full: { workers: 10, messages: rate * fullSeconds, rate },
    quick: { workers: 10, messages: rate * 2, rate },
    goals: { cpu: { atMost: 1.2 } },
    shows: ['rate', 'js'],
  });

export default [
  row({
    name: 'inbound-paced',
    title: 'inbound paced, 20k/s over 200 workers',
    full: { workers: 200, messages: 80_000, rate: 20_000 },
    quick: { workers: 200, messages: 20_000, rate: 20_000 },
    goals: { rate: { atLeast: 0.99 }, cpu: { atMost: 0.85 }, js: { atMost: 0.3 } },
  }),
  slow(10, 8),
  slow(100, 4),
  slow(1_000, 3),
];
