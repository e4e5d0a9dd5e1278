// What leaves: bursts of small messages to everyone, and one message of 1 KB broadcast to a large fleet. A tick sends one
// burst. The first worker says when it has had one, and no more than AHEAD bursts are sent before that.

import { setImmediate } from 'node:timers';
import { MESSAGE_BYTES, padded, seconds } from '../support/rows.mjs';

const AHEAD = 8;

/** Calls `burst` once a tick until there were enough, and waits where the workers are behind. */
function bursts(server, count, burst) {
  let sent = 0;
  let confirmed = 0;
  let waiting = false;
  const next = () => {
    if (sent === count) return;
    if (sent - confirmed >= AHEAD) {
      waiting = true;
      return;
    }
    burst();
    sent += 1;
    setImmediate(next);
  };
  server.onWorkerMessage('caught-up', () => {
    confirmed += 1;
    if (!waiting) return;
    waiting = false;
    setImmediate(next);
  });
  return next;
}

/** Messages are made beforehand: what is measured is sending them. */
function work(size) {
  return Array.from({ length: 64 }, (_, index) =>
    padded({ type: 'work', requestId: `r-${String(index).padStart(6, '0')}`, prompt: '' }, 'prompt', size),
  );
}

const PER_WORKER = 10;
const BROADCAST_BYTES = 1024;

export default [
  {
    name: 'sends',
    title: `sends in bursts of ${PER_WORKER} to each of 200 workers`,
    full: { workers: 200, messages: 1_000_000 },
    quick: { workers: 200, messages: 40_000 },
    load: ({ messages }) => ({ mode: 'receive', messages, reportEvery: PER_WORKER }),
    serve({ server, params }) {
      const messages = work(MESSAGE_BYTES);
      const ids = Array.from({ length: params.workers }, (_, index) => `w${index}`);
      let accepted = 0;
      const begin = bursts(server, params.messages / (params.workers * PER_WORKER), () => {
        for (let round = 0; round < PER_WORKER; round += 1) {
          for (const id of ids) if (server.send(id, messages[accepted & 63])) accepted += 1;
        }
      });
      return { begin, result: () => ({ accepted }) };
    },
    counts: ({ params, server, load }) => [
      ['sends accepted', server.accepted, params.messages],
      ['messages received', load.messages, params.messages],
      ['bytes received', load.bytes, params.messages * MESSAGE_BYTES],
    ],
    messages: ({ params }) => params.messages,
    seconds: seconds.of('load'),
    goals: { rate: { atLeast: 8 }, cpu: { atMost: 0.18 }, js: { atMost: 0.12 } },
  },
  {
    name: 'broadcast',
    title: 'broadcast of 1 KB to 2,000 workers',
    full: { workers: 2000, messages: 400_000 },
    quick: { workers: 500, messages: 20_000 },
    load: ({ messages }) => ({ mode: 'receive', messages, reportEvery: 1 }),
    serve({ server, params }) {
      const messages = work(BROADCAST_BYTES);
      let sent = 0;
      const begin = bursts(server, params.messages / params.workers, () => {
        server.broadcast(messages[sent & 63]);
        sent += 1;
      });
      return { begin };
    },
    counts: ({ params, load }) => [
      ['messages received', load.messages, params.messages],
      ['bytes received', load.bytes, params.messages * BROADCAST_BYTES],
    ],
    messages: ({ params }) => params.messages,
    seconds: seconds.of('load'),
    goals: { rate: { atLeast: 4 }, cpu: { atMost: 0.35 } },
    shows: ['js'],
  },
];
