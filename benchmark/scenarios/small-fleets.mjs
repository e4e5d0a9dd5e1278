// Conversations of a few workers: the application asks and workers answer, or workers ask and the application answers. What counts here is how
// long a thread takes to be there for the next message. Latency is what the side that asks sees: the application, or the worker.

import { MESSAGE_BYTES, padded, seconds } from '../support/rows.mjs';
import { row as applicationAsks } from './requests.mjs';

const FLEETS = [1, 2, 3, 5, 10, 50];
const IN_FLIGHT = [1, 4];
const GROUP = 'small-fleets';
const GOALS = { rate: { atLeast: 1 }, cpu: { atMost: 1.1 }, p50: { atMost: 1 }, p99: { atMost: 1 } };
const SHOWS = ['js', 'p999'];

const { text: FILL } = padded({ type: 'answer', requestId: 'r-00000000', text: '' }, 'text', MESSAGE_BYTES);

/** The life of a request that a worker asks for: track, send, release. */
function serveAsking({ server, params, counter }) {
  const answers = counter(params.messages);
  let refused = 0;
  server.onWorkerMessage('ask', (worker, { requestId }) => {
    server.trackRequest(worker.id, requestId);
    if (!server.send(worker.id, { type: 'answer', requestId, text: FILL })) refused += 1;
    server.releaseRequest(requestId, { incrementCompleted: true });
    answers.add();
  });
  const result = () => {
    const active = server.getWorkerInfo().reduce((sum, worker) => sum + worker.activeRequests, 0);
    return { answers, refused, active };
  };
  return { done: answers.done, result };
}

const workersAsk = ({ name, title, full, quick }) => ({
  name,
  title,
  group: GROUP,
  full,
  quick,
  load: ({ messages, inFlight }) => ({ mode: 'ask', messages, inFlight, size: MESSAGE_BYTES }),
  serve: serveAsking,
  counts: ({ params, server, load }) => [
    ['questions answered', server.answers.count, params.messages],
    ['answers received', load.messages, params.messages],
    ['requests still active', server.active, 0],
    ['sends refused', server.refused, 0],
  ],
  messages: ({ params }) => params.messages,
  seconds: seconds.of('load'),
  latency: ({ load }) => load.latency,
  goals: GOALS,
  shows: SHOWS,
});

const sizes = FLEETS.flatMap((workers) => IN_FLIGHT.map((inFlight) => ({ workers, inFlight })));

const rowsOf = (who, title, make) =>
  sizes.map(({ workers, inFlight }) => {
    // About a second's, and a third of that.
    const messages = workers * inFlight === 1 ? 15_000 : 40_000;
    return make({
      name: `small-${who}-${workers}-${inFlight}`,
      title: `${title}, ${workers} worker${workers === 1 ? '' : 's'}, ${inFlight} in flight${workers === 1 ? '' : ' on each'}`,
      full: { workers, inFlight, messages },
      quick: { workers, inFlight, messages: messages / 4 },
    });
  });

export default [
  ...rowsOf('asked', 'the application asks', (row) =>
    applicationAsks({ ...row, group: GROUP, goals: GOALS, shows: SHOWS }),
  ),
  ...rowsOf('asking', 'workers ask', workersAsk),
];
