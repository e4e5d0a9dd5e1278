// 1 MB to each worker, which answers with 1 MB, and then gets the next.

import { padded, seconds } from '../support/rows.mjs';

const LARGE_BYTES = 1_000_000;

export default [
  {
    name: 'large-messages',
    title: '1 MB messages each way, 10 workers',
    full: { workers: 10, exchanges: 600 },
    quick: { workers: 10, exchanges: 40 },
    load: ({ exchanges }) => ({ mode: 'answer', messages: exchanges, size: LARGE_BYTES }),
    serve({ server, params, counter }) {
      const results = counter(params.exchanges);
      const work = padded({ type: 'work', prompt: '' }, 'prompt', LARGE_BYTES);
      let sent = 0;
      let bytes = 0;
      const next = (workerId) => {
        if (server.send(workerId, work)) sent += 1;
      };
      server.onWorkerMessage('result', (worker, message) => {
        bytes += message.text.length;
        results.add();
        if (sent < params.exchanges) next(worker.id);
      });
      const begin = () => {
        for (let index = 0; index < params.workers; index += 1) next(`w${index}`);
      };
      return { begin, done: results.done, result: () => ({ results, sent, bytes }) };
    },
    counts: ({ params, server, load }) => [
      ['sends accepted', server.sent, params.exchanges],
      ['messages received', load.messages, params.exchanges],
      ['results handled', server.results.count, params.exchanges],
      ['bytes handled', server.bytes, params.exchanges * (LARGE_BYTES - '{"type":"result","text":""}'.length)],
    ],
    messages: ({ params }) => params.exchanges * 2,
    seconds: seconds.of('server', 'results'),
    goals: { rate: { atLeast: 1.5 }, cpu: { atMost: 0.7 }, peak: { atMost: 1 } },
    shows: ['js'],
  },
];
