// A worker from scratch, message by message: connects to a WorkerServer, registers, sends heartbeats, and answers what
// `server.request()` sends it. It shows the protocol, and needs the npm package `ws` and nothing else. For a worker of
// your own use the Worker of this package, as echo-worker.mjs does.
//
//   node examples/worker.mjs --id NAME [--url ws://127.0.0.1:19100] [--model ID]... [--max N] [--limit CATEGORY=N]...
//
// A token is read from the environment (WORKER_TOKEN) and not from the command line, which every user of the machine
// sees. A server that asks for one hears nothing of a worker before it has registered with it.

import { parseArgs } from 'node:util';
import WebSocket from 'ws';

const { values: options } = parseArgs({
  options: {
    id: { type: 'string', default: `worker-${process.pid}` },
    url: { type: 'string', default: 'ws://127.0.0.1:19100' },
    model: { type: 'string', multiple: true, default: ['count-1'] },
    max: { type: 'string', default: '2' },
    limit: { type: 'string', multiple: true, default: [] },
  },
});

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;
const GOODBYE_MS = 2_000;

let socket;
let heartbeat;
let retryTimer;
let failedAttempts = 0;
let stopping = false;
/** Requests that were taken and not answered, by id. */
const working = new Map();

function log(text) {
  console.error(`[${options.id}] ${text}`);
}

function registration() {
  return {
    type: 'worker_registration',
    workerId: options.id,
    workerName: options.id,
    authToken: process.env.WORKER_TOKEN,
    // Without it the server sends no requests.
    features: ['request'],
    capabilities: {
      models: options.model.map((modelId) => ({
        modelId,
        displayName: modelId,
        maxContextTokens: 100_000,
        maxOutputTokens: 1_000,
        supportsStreaming: false,
      })),
      maxConcurrentRequests: Number(options.max),
      concurrencyLimits: Object.fromEntries(
        options.limit.map((limit) => [limit.split('=')[0], Number(limit.split('=')[1])]),
      ),
      // Anything you like: requests can choose by it (`where`).
      metadata: { pid: process.pid },
    },
  };
}

function connect() {
  const ws = new WebSocket(options.url);
  socket = ws;

  // A worker that is away meanwhile has no use for the answer: the server has given the request to another worker.
  const send = (message) => {
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
  };

  ws.on('open', () => send(registration()));

  ws.on('message', (data) => {
    const message = JSON.parse(data.toString());
    switch (message.type) {
      case 'worker_registration_ack':
        if (message.success) {
          failedAttempts = 0;
          startHeartbeats(ws, send, message.heartbeatIntervalMs);
        } else {
          log(`registration refused: ${message.error}`);
        }
        break;
      case 'heartbeat_ack':
        heartbeat.unanswered = 0;
        break;
      case 'request':
        take(message, send);
        break;
      case 'request_cancel':
        // Answered all the same, when its turn comes: until then the server holds its slot.
        if (working.has(message.requestId)) working.get(message.requestId).isCancelled = true;
        break;
      // Other types are from a newer server, and none of this worker's business.
    }
  });

  // Every error is followed by 'close', which decides what happens next.
  ws.on('error', (error) => log(`connection: ${error.message || error.code}`));

  ws.on('close', (code, reason) => {
    clearInterval(heartbeat?.timer);
    // Without the feature "resume" all that was under way is lost to the server, and goes elsewhere or fails.
    working.clear();
    if (stopping) return;
    if (code === 4001 || code === 4002 || (code === 4003 && reason.toString() === 'Replaced by new connection')) {
      // A wrong token, a bad registration, or another process with this id: trying again would change nothing.
      log(`closed by the server: ${code} ${reason}`);
      process.exitCode = 1;
      stop();
      return;
    }
    // The wait doubles with each failure, and is drawn at random so that a fleet doesn't come back all at once.
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failedAttempts);
    failedAttempts += 1;
    retryTimer = setTimeout(connect, longest * (0.5 + Math.random() / 2));
  });
}

function startHeartbeats(ws, send, intervalMs) {
  heartbeat = { unanswered: 0 };
  heartbeat.timer = setInterval(() => {
    if (heartbeat.unanswered >= 3) {
      // The connection looks open but nobody answers: give it up, 'close' connects anew.
      ws.terminate();
      return;
    }
    heartbeat.unanswered += 1;
    // With what it works on: a request that got lost between the two is noticed by its absence.
    const active = [...working.keys()];
    send({ type: 'heartbeat', workerId: options.id, timestamp: new Date().toISOString(), active });
  }, intervalMs);
}

function take({ requestId, attempt, payload }, send) {
  const request = { isCancelled: false };
  working.set(requestId, request);
  send({ type: 'request_ack', requestId, attempt });
  // In a turn of its own, so that heartbeats and cancellations get their turn between two requests.
  setImmediate(() => {
    if (working.get(requestId) !== request) return; // The connection that it came on is gone.
    const answer = request.isCancelled ? { type: 'request_error', error: { message: 'Cancelled' } } : work(payload);
    working.delete(requestId);
    send({ ...answer, requestId, attempt });
  });
}

/** What this worker can do: count. */
function work({ text }) {
  if (typeof text !== 'string') return { type: 'request_error', error: { message: 'text must be a string' } };
  const lines = text === '' ? 0 : text.replace(/\n$/, '').split('\n').length;
  const words = text.match(/\S+/g)?.length ?? 0;
  return { type: 'request_result', data: { lines, words, characters: [...text].length } };
}

/**
 * Closes the connection properly. What was under way here is lost to the server, which may give it to other workers.
 */
function stop() {
  if (stopping && socket.readyState === WebSocket.CLOSED) return;
  stopping = true;
  clearTimeout(retryTimer);
  // The process ends by itself once the socket is closed.
  if (process.connected) process.disconnect();
  if (socket.readyState === WebSocket.CONNECTING) {
    socket.terminate();
  } else {
    socket.close(1000, 'Worker shutting down');
    setTimeout(() => socket.terminate(), GOODBYE_MS).unref();
  }
}

process.once('SIGTERM', stop);
process.once('SIGINT', stop);
// Only if another Node process started this one as its child: the worker ends when that process does.
if (process.connected) process.once('disconnect', stop);

connect();
