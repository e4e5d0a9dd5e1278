// Workers send as fast as they can; a handler counts.

import { MESSAGE_BYTES, seconds } from '../support/rows.mjs';

const row = (workers) => ({
  name: `inbound-flood-${workers}`,
  title: `inbound flood, ${workers === 1 ? '1 worker' : `${workers} workers`}`,
  full: { workers, messages: 2_000_000 },
  quick: { workers, messages: 100_000 },
  loopDelay: true,
  load: ({ messages }) => ({ mode: 'flood', messages, size: MESSAGE_BYTES }),
  serve({ server, params, counter }) {
    const reports = counter(params.messages);
    server.onWorkerMessage('report', () => reports.add());
    return { done: reports.done, result: () => ({ reports }) };
  },
  counts: ({ params, server }) => [['reports handled', server.reports.count, params.messages]],
  messages: ({ params }) => params.messages,
  seconds: seconds.of('server', 'reports'),
  goals: { rate: { atLeast: 2.5 }, cpu: { atMost: 0.6 }, loopDelay: { absolute: 10 } },
  shows: ['js'],
});

export default [row(1), row(200)];
