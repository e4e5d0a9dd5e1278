// HTTP beside Node's own server: GET on 32 kept-alive connections, one request at a time on each.

import { seconds } from '../support/rows.mjs';

const BODY = '{"status":"ok"}';

export default [
  {
    name: 'http',
    title: 'HTTP, keep-alive GET, 32 connections',
    unit: 'requests',
    peer: 'http',
    full: { workers: 32, messages: 200_000 },
    quick: { workers: 32, messages: 20_000 },
    load: ({ messages }) => ({ mode: 'http', messages }),
    serve({ server }) {
      let handled = 0;
      server.addHttpHandler(async (req, res) => {
        handled += 1;
        res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': BODY.length });
        res.end(BODY);
        return true;
      });
      return { result: () => ({ handled }) };
    },
    counts: ({ params, server, load }) => [
      ['requests handled', server.handled, params.messages],
      ['requests answered', load.messages, params.messages],
    ],
    messages: ({ params }) => params.messages,
    seconds: seconds.of('load'),
    goals: { rate: { atLeast: 0.95 }, cpu: { atMost: 1.05 } },
    shows: ['js'],
  },
];
