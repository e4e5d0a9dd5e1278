// Workers send 20,000 messages a second in all, one after another.

import { MESSAGE_BYTES, seconds } from '../support/rows.mjs';

export default [
  {
    name: 'inbound-paced',
    title: 'inbound paced, 20k/s over 200 workers',
    full: { workers: 200, messages: 80_000, rate: 20_000 },
    quick: { workers: 200, messages: 20_000, rate: 20_000 },
    load: ({ messages, rate }) => ({ mode: 'paced', messages, rate, size: MESSAGE_BYTES }),
    serve({ server, params, counter }) {
      const reports = counter(params.messages);
      server.onWorkerMessage('report', () => reports.add());
      return { done: reports.done, result: () => ({ reports }) };
    },
    counts: ({ params, server }) => [['reports handled', server.reports.count, params.messages]],
    messages: ({ params }) => params.messages,
    seconds: seconds.of('server', 'reports'),
    goals: { rate: { atLeast: 0.99 }, cpu: { atMost: 0.85 }, js: { atMost: 0.3 } },
  },
];
