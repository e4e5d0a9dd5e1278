// Streams whose workers send chunks as fast as they can, and whose readers count them.

import { dispatching } from '../support/dispatcher.mjs';
import { FEATURES, MESSAGE_BYTES, MODEL, seconds } from '../support/rows.mjs';

function serve({ server, params, counter, implementation }) {
  const { workers, messages } = params;
  const chunks = counter(messages);
  const dispatcher = dispatching(server, implementation);
  let ended = 0;
  const read = async () => {
    for await (const { text } of dispatcher.stream({ prompt: 'Tell me more.' }, { model: MODEL })) {
      if (text.length > 0) chunks.add();
    }
    ended += 1;
  };
  let all;
  const begin = () => {
    all = Promise.all(Array.from({ length: workers }, read));
  };
  const result = async () => {
    await all;
    return { chunks, ended };
  };
  return { begin, done: chunks.done, result };
}

const row = ({ name, title, peer, goals }) => ({
  name,
  title,
  peer,
  unit: 'chunks',
  full: { workers: 50, messages: 1_000_000 },
  quick: { workers: 50, messages: 50_000 },
  load: ({ workers, messages }, implementation) => ({
    mode: 'stream',
    messages,
    chunks: messages / workers,
    size: MESSAGE_BYTES,
    // One stream at a time on each.
    registration: { slots: 1, features: implementation === 'native' ? [FEATURES.request] : [] },
  }),
  serve,
  counts: ({ params, server, load }) => [
    ['chunks sent by workers', load.messages, params.messages],
    ['chunks read', server.chunks.count, params.messages],
    ['streams read to their ends', server.ended, params.workers],
  ],
  messages: ({ params }) => params.messages,
  seconds: seconds.of('server', 'chunks'),
  goals,
  shows: ['rate', 'cpu', 'js'],
});

export default [
  row({
    name: 'streams',
    title: 'stream(), 50 streams of 200-byte chunks at full speed, beside a dispatcher on ws',
    goals: { rate: { atLeast: 2.5 } },
  }),
  row({
    name: 'streams-own',
    title: 'the same, beside a dispatcher on this package',
    peer: 'dispatcher',
    goals: {},
  }),
];
